"use strict";
const link = document.getElementById("link");
const said = document.getElementById("said");
const events = new EventSource(document.documentElement.dataset.drain);
let lost;
function tell(state, text) {
    clearTimeout(lost);
    lost = undefined;
    link.className = state;
    link.textContent = text;
}
events.onopen = () => tell("live", "live");
events.onerror = () => {
    // A stream that ends and comes back at once is none that was lost.
    lost ??= setTimeout(() => tell("lost", "connection lost"), 2500);
    // An answer that is no stream, such as that of a server with too many of them, ends the attempts of the browser.
    if (events.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
};
events.onmessage = event => {
    const {boot, ...sections} = JSON.parse(event.data);
    if (boot !== document.documentElement.dataset.boot) return location.reload();
    tell("live", "live");
    for (const [id, html] of Object.entries(sections)) {
        document.getElementById(id).innerHTML = html;
    }
    const phase = document.querySelector(".phase").textContent;
    document.title = `${phase} · ${document.querySelector("h1").textContent}`;
    // For who does not see it: when that changes, and not each second.
    if (said.textContent !== phase) said.textContent = phase;
};
for (const button of document.querySelectorAll("button")) {
    button.hidden = false;
    button.onclick = async () => {
        const code = button.previousElementSibling;
        const selection = getSelection();
        selection.selectAllChildren(code);
        try {
            // Only pages of https and of this machine have a clipboard.
            if (navigator.clipboard) await navigator.clipboard.writeText(code.textContent);
            else if (!document.execCommand("copy")) throw new Error("no clipboard");
            button.textContent = "Copied";
        } catch {
            button.textContent = "Selected";
        }
        setTimeout(() => button.textContent = "Copy", 2000);
    };
}
