"""The public items of a crate, one a line, from rustdoc's JSON; and which crates of others they name.

python3 tests/api.py JSON: the items, on the standard output; behind `foreign: ` the crates.
"""

import json
import sys

data = json.load(open(sys.argv[1]))
index, paths, crates = data["index"], data["paths"], data["external_crates"]
foreign, lines = set(), set()


def path(it):
    """A path as it is named here: its last part, behind its crate if that is another."""
    name = it.get("path", it.get("name", "")).split("::")[-1]
    known = paths.get(str(it["id"]))
    if known and known["crate_id"]:
        crate = crates[str(known["crate_id"])]["name"]
        if crate not in ("std", "core", "alloc"):
            foreign.add(crate)
            name = f"{crate}::{name}"
    return name + args(it.get("args"))


def args(it):
    if not it or it == "return_type_notation":
        return ""
    if "parenthesized" in it:
        it = it["parenthesized"]
        return f"({', '.join(map(kind, it['inputs']))})" + returns(it["output"])
    it = it["angle_bracketed"]
    given = [a if a == "infer" else a.get("lifetime") or (kind(a["type"]) if "type" in a else a["const"]["expr"]) for a in it["args"]]
    for c in it["constraints"]:
        binding = c["binding"]
        if "equality" in binding:
            term = binding["equality"]
            given.append(f"{c['name']} = {kind(term['type']) if 'type' in term else term['constant']['expr']}")
        else:
            given.append(f"{c['name']}: {bounds(binding['constraint'])}")
    return f"<{', '.join(given)}>" if given else ""


def returns(it):
    return f" -> {kind(it)}" if it else ""


def kind(it):
    """A type."""
    if it == "infer":
        return "_"
    (tag, it), = it.items()
    match tag:
        case "resolved_path": return path(it)
        case "generic" | "primitive": return it
        case "tuple": return f"({', '.join(map(kind, it))})"
        case "slice": return f"[{kind(it)}]"
        case "array": return f"[{kind(it['type'])}; {it['len']}]"
        case "impl_trait": return f"impl {bounds(it)}"
        case "dyn_trait": return "dyn " + " + ".join([path(t["trait"]) for t in it["traits"]] + [it["lifetime"]] * bool(it["lifetime"]))
        case "raw_pointer": return ("*mut " if it["is_mutable"] else "*const ") + kind(it["type"])
        case "borrowed_ref": return "&" + (it["lifetime"] + " " if it["lifetime"] else "") + ("mut " if it["is_mutable"] else "") + kind(it["type"])
        case "qualified_path": return f"<{kind(it['self_type'])} as {path(it['trait'])}>::{it['name']}" if it["trait"] else f"{kind(it['self_type'])}::{it['name']}"
        case "function_pointer": return "fn" + signature(it["sig"])
    raise ValueError(f"a type that this script does not know: {tag}")


def bounds(it):
    every = []
    for b in it:
        if "trait_bound" in b:
            every.append(("?" if b["trait_bound"]["modifier"] == "maybe" else "") + path(b["trait_bound"]["trait"]))
        elif "outlives" in b:
            every.append(b["outlives"])
    return " + ".join(every)


def generics(it):
    """The parameters, and the conditions on them."""
    given, where = [], []
    for p in it["params"]:
        (tag, of), = p["kind"].items()
        if tag == "type" and of["is_synthetic"]:
            continue
        given.append(f"const {p['name']}: {kind(of['type'])}" if tag == "const" else p["name"])
        if tag == "type" and of["default"]:
            given[-1] += f" = {kind(of['default'])}"
        if tag == "type" and of["bounds"]:
            where.append(f"{p['name']}: {bounds(of['bounds'])}")
    for p in it["where_predicates"]:
        (tag, of), = p.items()
        if tag == "bound_predicate":
            where.append(f"{kind(of['type'])}: {bounds(of['bounds'])}")
    return (f"<{', '.join(given)}>" if given else ""), (f" where {', '.join(where)}" if where else "")


def signature(it):
    return f"({', '.join(f'{n}: {kind(t)}' for n, t in it['inputs'])})" + returns(it["output"])


def attributes(item):
    marks = [str(a) for a in item["attrs"]]
    return "".join(f"#[{m}] " for m in ("non_exhaustive", "must_use") if any(m in a for a in marks))


def implemented(owner, ids):
    for one in ids:
        it = index[str(one)]["inner"]["impl"]
        trait = it["trait"]
        if it["blanket_impl"] or (it["is_synthetic"] and trait["path"].split("::")[-1] not in ("Send", "Sync", "Unpin")):
            continue
        if any(p["name"] == "'__pin" for p in it["generics"]["params"]):
            # The macro's way to say it, by hidden types that are nobody's business.
            lines.add(f"impl Unpin for {kind(it['for'])} where its pinned fields are")
            continue
        given, where = generics(it["generics"])
        if trait is None:
            for child in it["items"]:
                item(child, owner, where)
            continue
        head = f"impl{given} {'!' if it['is_negative'] else ''}{path(trait)} for {kind(it['for'])}"
        kinds = [f"{a['name']} = {kind(a['inner']['assoc_type']['type'])}" for a in map(lambda i: index[str(i)], it["items"]) if "assoc_type" in a["inner"]]
        lines.add(head + where + (f" {{ {', '.join(sorted(kinds))} }}" if kinds else ""))


def item(one, owner, above=""):
    found = index.get(str(one))
    if found is None:
        lines.add(f"{owner}::{path({'id': one, 'path': paths[str(one)]['path'][-1]})} (of another crate)")
        return
    (tag, it), = found["inner"].items()
    name = f"{owner}::{found['name']}"
    given, where = generics(it["generics"]) if isinstance(it, dict) and "generics" in it else ("", "")
    head, tail = attributes(found), where + above
    match tag:
        case "module":
            for child in it["items"]:
                item(child, name if owner else found["name"])
        case "use":
            if it["is_glob"]:
                lines.add(f"{owner}::* = {it['source']}")
            elif str(it["id"]) in index:
                target = index[str(it["id"])]
                item(it["id"], owner) if target["name"] == it["name"] else lines.add(f"{owner}::{it['name']} = {it['source']}")
            else:
                lines.add(f"{owner}::{it['name']} = {path({'id': it['id'], 'path': it['source']})}")
        case "struct":
            shape = it["kind"]
            fields = shape["plain"]["fields"] if isinstance(shape, dict) and "plain" in shape else []
            lines.add(f"{head}struct {name}{given}{tail}")
            for child in fields:
                field = index[str(child)]
                lines.add(f"{name}.{field['name']}: {kind(field['inner']['struct_field'])}")
            implemented(name, it["impls"])
        case "enum":
            lines.add(f"{head}enum {name}{given}{tail}")
            for child in it["variants"]:
                variant = index[str(child)]
                shape = variant["inner"]["variant"]["kind"]
                if isinstance(shape, dict) and "tuple" in shape:
                    shape = "(" + ", ".join(kind(index[str(f)]["inner"]["struct_field"]) for f in shape["tuple"]) + ")"
                elif isinstance(shape, dict):
                    shape = " {" + ", ".join(index[str(f)]["name"] + ": " + kind(index[str(f)]["inner"]["struct_field"]) for f in shape["struct"]["fields"]) + "}"
                else:
                    shape = ""
                lines.add(f"{attributes(variant)}{name}::{variant['name']}{shape}")
            implemented(name, it["impls"])
        case "trait":
            lines.add(f"{head}trait {name}{given}{': ' + bounds(it['bounds']) if it['bounds'] else ''}{tail}")
            for child in it["items"]:
                item(child, name)
            implemented(name, [i for i in it["implementations"] if not index[str(i)]["inner"]["impl"]["is_synthetic"]])
        case "function":
            marks = "".join(f"{m} " for m in ("const", "async", "unsafe") if it["header"][f"is_{m}"])
            default = " (provided)" if it["has_body"] and owner and "trait " + owner in "\n".join(lines) else ""
            lines.add(f"{head}{marks}fn {name}{given}{signature(it['sig'])}{tail}{default}")
        case "type_alias":
            lines.add(f"type {name}{given} = {kind(it['type'])}{tail}")
        case "assoc_type":
            lines.add(f"type {name}{given}{': ' + bounds(it['bounds']) if it['bounds'] else ''}{tail}")
        case "constant" | "assoc_const" | "static":
            lines.add(f"const {name}: {kind(it['type'])}")
        case _:
            raise ValueError(f"an item that this script does not know: {tag}")


item(data["root"], "")
print("foreign: " + " ".join(sorted(foreign)))
print("\n".join(sorted(lines, key=lambda line: line.replace("#[must_use] ", "").replace("#[non_exhaustive] ", ""))))
