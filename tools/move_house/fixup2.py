W="mtlnas_lab/widgets/"
for f in ("studio.js","studio.css","plan.js","knobs.js","draw.js","pen.js","dom.js"):
    if (R/W/f).exists(): mv(W+f,W+"studio/"+f)
for f in ("figure_studio.js","figure_studio.css"): mv(W+f,W+"figure_studio/"+f)
for p in (R/W/"explorers").glob("*.js"):
    s=p.read_text(); p.write_text(re.sub(r'"\.\./(\w+)\.js"',r'"../studio/\1.js"',s))
p=R/W/"figure_studio/figure_studio.js"; p.write_text(p.read_text().replace('"./dom.js"','"../studio/dom.js"'))
for p in (R/"tests/js").glob("*.mjs"):
    s=p.read_text(); p.write_text(re.sub(r'mtlnas_lab/widgets/(\w+)\.js',r'mtlnas_lab/widgets/studio/\1.js',s))
sub(W+"explorers/base.py",('"../studio.css"','"../studio/studio.css"'))
p=R/W/"figure_studio/widget.py"; s=p.read_text()
s=s.replace("from ..studio.view import HERE, page_script","from ..studio.view import page_script")
s=s.replace('("studio.css", "figure_studio.css")','("../studio/studio.css", "figure_studio.css")')
s=re.sub(r"(?m)^(class FigureStudio)",r"HERE = Path(__file__).parent\n\n\n\1",s,count=1)
if "from pathlib import Path" not in s: s=s.replace("import anywidget","from pathlib import Path\nimport anywidget",1)
p.write_text(s)
p=R/"mtlnas_lab/course/checking.py"; s=p.read_text()
s=re.sub(r"    for module in pkgutil\.iter_modules\(importlib\.import_module\(__package__\)\.__path__\):\n        if module\.name\.startswith\(\"n\"\):\n            importlib\.import_module\(f\"\{__package__\}\.\{module\.name\}\"\)",
'''    checks = importlib.import_module(f"{__package__}.checks")
    for module in pkgutil.iter_modules(checks.__path__):
        importlib.import_module(f"{checks.__name__}.{module.name}")''',s)
p.write_text(s)
for f in ("benchmarks/faults.py","tests/runs/test_run.py"):
    p=R/f; s=p.read_text()
    s=s.replace("in (files, events, checkpoints, runs)","in (safe_files, event_file, checkpoints, run)").replace("setattr(files, \"fcntl\"","setattr(safe_files, \"fcntl\"")
    s=s.replace("in (files, events, checkpoints, run)","in (safe_files, event_file, checkpoints, run)")
    s=re.sub(r"(?m)^from mtlnas_lab",r"from mtlnas_lab.storage import safe_files, checkpoints\nfrom mtlnas_lab.runs import event_file, run\nfrom mtlnas_lab",s,count=1)
    p.write_text(s)
p=R/"tests/experiments/test_pipeline.py"; s=p.read_text()
s=re.sub(r"\bwork\b(?=, \"(_gaps|AT_ONCE)\")","scores",s)
s=re.sub(r"\bscores import final_scores\b","scores import final_scores",s)
s=re.sub(r"work,\n(\s+)\"trivial\"",r'scores,\n\1"trivial"',s)
p.write_text(s)
subprocess.run(["git","-C",str(R),"rm","-qrf","--ignore-unmatch","mtlnas_lab/exercises","mtlnas_lab/commands"],check=True)
import shutil
for d in ("exercises","commands"): shutil.rmtree(P/d,ignore_errors=True)
p=R/"tests/experiments/test_pipeline.py"; s=p.read_text()
s=s.replace("for name, scores in final_scores(lab, architecture).items():\n        for task, metrics in scores.items():","for name, found in final_scores(lab, architecture).items():\n        for task, metrics in found.items():")
s=s.replace('    scores = folder.read_json("scores.json")\n    assert set(scores) == {"soft", "hard", "hard_recalibrated", "trivial", "single_task"}\n    assert set(scores["hard"]','    found = folder.read_json("scores.json")\n    assert set(found) == {"soft", "hard", "hard_recalibrated", "trivial", "single_task"}\n    assert set(found["hard"]')
p.write_text(s)
