"""python mover.py ROOT: split and move modules by the table in plan.py; rewrite every import."""
import ast, re, sys, os, subprocess
from pathlib import Path
from plan import TABLE, DOCS, RENAME
ROOT = Path(sys.argv[1]); PKG = ROOT / "mtlnas_lab"

def dotted(path):
    parts = list(path.relative_to(PKG).with_suffix("").parts)
    if parts[-1] == "__init__": parts.pop()
    return ".".join(parts)

class Module:
    def __init__(self, name, path):
        self.name, self.path = name, path
        self.text = path.read_text(); self.lines = self.text.splitlines(keepends=True)
        self.tree = ast.parse(self.text)
        self.package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
        if path.name == "__init__.py" and name == "": self.package = []
        self.segments = []          # (names, text, node)
        self.imports = []           # (node)
        self.doc = ast.get_docstring(self.tree, clean=False)
        last = 0
        for i, node in enumerate(self.tree.body):
            begin = node.lineno - 1
            for d in getattr(node, "decorator_list", []): begin = min(begin, d.lineno - 1)
            text = "".join(self.lines[last:node.end_lineno]); last = node.end_lineno
            if i == 0 and isinstance(node, ast.Expr) and self.doc is not None: continue
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                self.imports.append(node)
                lead = text[: len(text) - len("".join(self.lines[begin:node.end_lineno]))].strip("\n")
                continue
            self.segments.append((bound(node), text.strip("\n"), node))

def bound(node):
    if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)): return [node.name]
    if isinstance(node, ast.Assign): return [y.id for x in node.targets for y in ast.walk(x) if isinstance(y, ast.Name) and isinstance(y.ctx, ast.Store)]
    if isinstance(node, ast.AnnAssign): return [node.target.id]
    out = []
    for x in ast.walk(node):
        if isinstance(x, (ast.Import, ast.ImportFrom)):
            out += [(a.asname or a.name).split(".")[0] for a in x.names]
    return out

modules = {dotted(p): Module(dotted(p), p) for p in sorted(PKG.rglob("*.py"))}
# --- old symbol -> new module
where, whole = {}, {}
order = {}
for new, sources in TABLE.items():
    for old, names in sources:
        m = modules.get(old)
        if m is None: print("no old module", old); continue
        if names == "*":
            order.setdefault(new, []).append((old, None))
        else:
            for n in names: where[old, n] = new
            order.setdefault(new, []).append((old, names))
rest = {}
for new, sources in TABLE.items():
    for old, names in sources:
        if names == "*": rest[old] = new
for old, m in modules.items():
    for names, text, node in m.segments:
        for n in names:
            where.setdefault((old, n), rest.get(old, old))
for old in modules:
    targets = {v for (o, _), v in where.items() if o == old}
    if len(targets) == 1 and old in rest or not targets and old in rest: whole[old] = rest[old]
    elif old not in rest and all(o != old for src in TABLE.values() for o, _ in src): whole[old] = old
missing = [(o, n) for (o, n), new in where.items() if o not in rest and any(o == oo for s in TABLE.values() for oo, _ in s) and new == o and o not in TABLE]
if missing: print("NOT PLACED", missing)
new_paths = {}
for new in TABLE: new_paths[new] = PKG / (new.replace(".", "/") + ".py")

def is_package(new): 
    return new == "" or (new in modules and modules[new].path.name == "__init__.py") or new in PACKAGES
PACKAGES = {".".join(n.split(".")[:i]) for n in TABLE for i in range(1, n.count(".") + 1)} | {"viz", "widgets", "widgets.explorers"}

def resolve(m, node):
    """absolute dotted (inside the package) of an ImportFrom, or None for a foreign one"""
    if node.level == 0:
        if node.module == "mtlnas_lab": return ""
        if node.module and node.module.startswith("mtlnas_lab."): return node.module[len("mtlnas_lab."):]
        return None
    base = m.package[: len(m.package) + 1 - node.level]
    return ".".join(base + (node.module.split(".") if node.module else []))

DROPPED = {"ArchitectureWeights": "relaxation", "entropy": "relaxation", "entropy_fraction": "relaxation"}
USES = {}
def attributes(m, text):
    """module objects of split modules: their attributes are named by the new module"""
    tree = ast.parse(text)
    for x in ast.walk(tree):
        if not isinstance(x, ast.ImportFrom) or resolve(m, x) is None: continue
        src = resolve(m, x)
        for a in x.names:
            full = (src + "." if src else "") + a.name
            if full in modules and full not in whole and not (src, a.name) in where or (src == "" and a.name in modules and a.name not in whole and a.name != "presets"):
                alias = a.asname or a.name
                def swap(match):
                    new = where.get((full, match[1]))
                    if new is None: return match[0]
                    USES.setdefault((str(m.path), alias), set()).add(new)
                    return new.rpartition(".")[2] + "." + match[1]
                text = re.sub(rf"(?<![\w.\"']){re.escape(alias)}\.(\w+)", swap, text)
    return text

def spell(frm_package, target, absolute):
    """'from X import' text for package-internal dotted target"""
    target = target.removesuffix(".__init__")
    if absolute: return "mtlnas_lab" + ("." + target if target else "")
    a, b = frm_package, target.split(".") if target else []
    k = 0
    while k < len(a) and k < len(b) and a[k] == b[k]: k += 1
    return "." * (len(a) - k + 1) + ".".join(b[k:])

warnings = []
def translate(m, node, package, absolute, context, current=None):
    """lines that replace an ImportFrom of ours"""
    src = resolve(m, node)
    out = {}
    mods = []
    for a in node.names:
        # a module?
        full = (src + "." if src else "") + a.name
        if src == "" and a.name in DROPPED:
            new = where[DROPPED[a.name], a.name]
            out.setdefault(new, []).append(a.name + (f" as {a.asname}" if a.asname else ""))
        elif src in modules and (src, a.name) in where and not (src == "" and a.name in modules and a.name != "presets"):
            new = where[src, a.name]; name = RENAME.get((src, a.name), a.name)
            # re-exported names in package __init__ are not in where
            out.setdefault(new, []).append(name + (f" as {a.asname}" if a.asname else (f" as {a.name}" if name != a.name and False else "")))
        elif full in modules:
            new = whole.get(full)
            if new is None:
                alias = a.asname or a.name
                found = USES.get((str(m.path), alias), set())
                if not found: warnings.append(f"{context}:{node.lineno}: module object of split {full}")
                for one in sorted(found):
                    parent, _, leaf = one.rpartition(".")
                    mods.append((parent, leaf))
                if found: continue
                new = rest.get(full, full)
            parent, _, leaf = new.rpartition(".")
            as_ = a.asname or (a.name if leaf != a.name else None)
            mods.append((parent, leaf + (f" as {as_}" if as_ else "")))
        else:
            # a re-export through a package __init__ or the root
            out.setdefault(whole.get(src, src), []).append(a.name + (f" as {a.asname}" if a.asname else ""))
    lines = []
    out.pop(current, None)
    for new, names in out.items(): lines.append(f"from {spell(package, new, absolute)} import {', '.join(names)}")
    for parent, name in mods: lines.append(f"from {spell(package, parent, absolute)} import {name}")
    return lines

def rewrite_inner(m, text, offset_lines, package, absolute, context, nodes):
    raise NotImplementedError

def local_imports(m, node):
    return [x for x in ast.walk(node) if isinstance(x, ast.ImportFrom) and (x.level or (x.module or "").startswith("mtlnas_lab"))]

def replace_nodes(lines, nodes, make):
    lines = list(lines)
    for x in sorted(nodes, key=lambda x: -x.lineno):
        indent = re.match(r"\s*", lines[x.lineno - 1])[0]
        tail = lines[x.end_lineno - 1][x.end_col_offset:].rstrip("\n")
        new = make(x)
        lines[x.lineno - 1:x.end_lineno] = [indent + t + (tail if i == len(new) - 1 else "") + "\n" for i, t in enumerate(new)]
    return lines

def rename_text(text, pairs):
    for old, new in pairs: text = re.sub(rf"(?<![\w.]){re.escape(old)}(?!\w)", new, text)
    return text

for m in modules.values():
    text = attributes(m, m.text)
    if text != m.text:
        keep = m.path.read_text(); m.path.write_text(text); m.__init__(m.name, m.path)
# --- write new modules
produced = {}
for new, sources in TABLE.items():
    package = new.split(".")[:-1]
    parts, import_lines, used_modules = [], [], []
    doc = None
    segs_done = 0
    for old, names in order[new]:
        m = modules[old]
        # rewrite local imports inside the segments: do it on the whole module's lines, then cut again
        nodes = [x for x in ast.walk(m.tree) if isinstance(x, ast.ImportFrom) and x not in m.imports and (x.level or (x.module or "").startswith("mtlnas_lab"))]
        lines = replace_nodes(m.lines, nodes, lambda x: translate(m, x, package, False, old, new) or ["pass"])
        m2 = Module.__new__(Module); 
        Module.__init__(m2, old, m.path); m2.lines = lines; m2.text = "".join(lines); m2.tree = ast.parse(m2.text)
        m2.segments, m2.imports = [], []
        last = 0
        for i, node in enumerate(m2.tree.body):
            text = "".join(lines[last:node.end_lineno]); last = node.end_lineno
            if i == 0 and isinstance(node, ast.Expr) and m2.doc is not None: continue
            if isinstance(node, (ast.Import, ast.ImportFrom)): continue
            m2.segments.append((bound(node), text.strip("\n"), node))
        tail = "".join(lines[last:]).strip("\n")
        for nms, text, node in m2.segments:
            mine = where[old, nms[0]] == new if nms else rest.get(old) == new
            if mine: parts.append((text, node))
        if tail and rest.get(old) == new: parts.append((tail, None))
        for node in m.imports:
            if isinstance(node, ast.ImportFrom) and resolve(m, node) is not None and (node.level or (node.module or "").startswith("mtlnas_lab")):
                import_lines += translate(m, node, package, False, old, new)
            else:
                import_lines.append(ast.unparse(node))
        # siblings of the same old module that live elsewhere now
        for (o, n), target in where.items():
            if o == old and target != new:
                import_lines.append(f"from {spell(package, target, False)} import {RENAME.get((o, n), n)}")
        if doc is None and (names is None): doc = m.doc
        if new in DOCS: doc = DOCS[new]
        pairs = [(n, r) for (o, n), r in RENAME.items() if o == old]
        parts = [(rename_text(t, pairs) if pairs else t, nd) for t, nd in parts]
    if doc is None: doc = "TODO"; print("no docstring for", new)
    future = "from __future__ import annotations"
    body = []
    for text, node in parts: body.append(text)
    import_lines = list(dict.fromkeys(l for l in import_lines if not l.startswith("from __future__")))
    text = f'"""{doc}"""\n\n{future}\n\n' + "\n".join(import_lines) + "\n\n\n" + "\n\n\n".join(body) + "\n"
    produced[new] = text

# --- rewrite everybody else
others = [p for p in [*PKG.rglob("*.py"), *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "docs").rglob("*.py"), *(ROOT / "notebooks").rglob("*.py")] if not (p.is_relative_to(PKG) and any(o == dotted(p) for s in TABLE.values() for o, _ in s))]
renames = sorted(((o, n) for o, n in whole.items() if o != n and o), key=lambda x: -len(x[0]))
for p in others:
    text = p.read_text()
    try: tree = ast.parse(text)
    except SyntaxError: print("cannot parse", p); continue
    inside = p.is_relative_to(PKG)
    name = dotted(p) if inside else "x"
    m = Module(name, p) if inside else type("M", (), {"package": [], "name": "x"})()
    nodes = [x for x in ast.walk(tree) if isinstance(x, ast.ImportFrom) and ((inside and x.level) or (x.module or "").startswith("mtlnas_lab"))]
    nodes = [x for x in nodes if resolve(m, x) is not None]
    m.path = p
    if p.name != "__init__.py" or not inside: text = attributes(m, text)
    lines = text.splitlines(keepends=True)
    package = m.package
    # where this file itself is moved whole: handled in TABLE, so its package stays
    lines = replace_nodes(lines, nodes, lambda x: translate(m, x, package, not inside, str(p)))
    new = "".join(lines)
    if new != text: p.write_text(new)
for old in {o for s in TABLE.values() for o, _ in s}:
    if old in modules and modules[old].path.exists() and modules[old].path.name != "__init__.py":
        heir = rest.get(old)
        if heir:
            new_paths[heir].parent.mkdir(parents=True, exist_ok=True)
            if new_paths[heir] != modules[old].path and not new_paths[heir].exists():
                subprocess.run(["git", "-C", str(ROOT), "mv", str(modules[old].path), str(new_paths[heir])], check=True)
        elif old not in TABLE:
            subprocess.run(["git", "-C", str(ROOT), "rm", "-q", "-f", str(modules[old].path)], check=True)
for old in {o for s in TABLE.values() for o, _ in s}:
    p = modules[old].path if old in modules else None
    if p and p.exists() and p.name != "__init__.py" and old not in TABLE and p not in new_paths.values():
        subprocess.run(["git", "-C", str(ROOT), "rm", "-q", "-f", str(p)], check=False)
for new, text in produced.items():
    path = new_paths[new]; path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    for d in path.relative_to(PKG).parents:
        init = PKG / d / "__init__.py"
        if not init.exists(): init.write_text(f'"""{DOCS.get(".".join(d.parts) + ".__init__", "TODO")}"""\n')
print(*warnings, sep="\n")
