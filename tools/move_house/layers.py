import ast,sys
from pathlib import Path
PKG=Path(sys.argv[1])/"mtlnas_lab"
ORDER="tasks storage data core models runs experiments viz widgets analysis course cli".split()
deps={}; bad=[]
def dotted(p):
    parts=list(p.relative_to(PKG).with_suffix("").parts)
    return ".".join(parts)
mods={dotted(p) for p in PKG.rglob("*.py")}
for p in PKG.rglob("*.py"):
    n=dotted(p); pk=n.split(".")[:-1]
    t=ast.parse(p.read_text())
    tops={id(x) for x in t.body}
    for x in ast.walk(t):
        if not isinstance(x,ast.ImportFrom) or not x.level: continue
        base=pk[:len(pk)+1-x.level]+(x.module.split(".") if x.module else [])
        for a in x.names:
            full=".".join(base+[a.name]); b=".".join(base)
            tgt=full if full in mods else (b if b in mods else (b+".__init__" if b+".__init__" in mods else b))
            deps.setdefault(n,set()).add((tgt,x.lineno,id(x) in tops))
            if "." in n and "." in tgt:
                f,g=n.split(".")[0],tgt.split(".")[0]
                if f!=g and f in ORDER and g in ORDER and ORDER.index(g)>ORDER.index(f): bad.append(f"{n}:{x.lineno} -> {tgt} ({a.name}) {'top' if id(x) in tops else 'inside'}")
            elif n=="__init__": pass
print("UPWARD"); print(*bad,sep="\n")
# cycles
g={n:{t for t,_,_ in d if t in mods and not t.endswith("__init__")} for n,d in deps.items() if not n.endswith("__init__")}
import itertools
idx={};low={};st=[];on=set();out=[];c=itertools.count()
sys.setrecursionlimit(10000)
def sc(v):
    idx[v]=low[v]=next(c); st.append(v); on.add(v)
    for w in g.get(v,()):
        if w not in idx: sc(w); low[v]=min(low[v],low[w])
        elif w in on: low[v]=min(low[v],idx[w])
    if low[v]==idx[v]:
        comp=[]
        while True:
            w=st.pop(); on.discard(w); comp.append(w)
            if w==v: break
        if len(comp)>1: out.append(comp)
for v in list(g): 
    if v not in idx: sc(v)
print("CIRCLES"); print(*out,sep="\n")
