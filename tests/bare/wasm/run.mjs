// Runs the WebAssembly program given: prints what it prints, and is its timer. A panic there ends this with an error.
import { readFile } from "node:fs/promises";

const machine = {
  print: (byte) => process.stdout.write(String.fromCharCode(byte)),
  wait: () => program.tick(),
};
const { instance } = await WebAssembly.instantiate(await readFile(process.argv[2]), { machine });
const program = instance.exports;
program.run();
