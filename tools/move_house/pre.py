import re,sys
from pathlib import Path
R=Path(sys.argv[1])
def sub(path,*pairs,count=None):
    p=R/path; s=p.read_text()
    for a,b in pairs:
        if a not in s: print("PRE NOT FOUND",path,repr(a)[:90])
        s=s.replace(a,b)
    p.write_text(s)
# EventLog.read -> read_log in event_file
p=R/"mtlnas_lab/events.py"; s=p.read_text()
m=re.search(r"    @classmethod\n    def read\(cls, path: str \| os\.PathLike\) -> EventLog:\n(.*?)(?=\n    def |\n    @)",s,re.S)
body=m[0]; s=s.replace(body+"\n","",1)
body=re.sub(r"^    ","",body,flags=re.M).replace("@classmethod\n","").replace("def read(cls, path","def read_events(path")
s=s.rstrip()+"\n\n\n"+body.strip()+"\n"
p.write_text(s)
for f in [*R.glob("tests/*.py"),*R.glob("benchmarks/*.py")]:
    s=f.read_text()
    if "EventLog.read(" in s:
        s=s.replace("EventLog.read(","read_events(")
        s=re.sub(r"from mtlnas_lab\.events import ",r"from mtlnas_lab.events import read_events\nfrom mtlnas_lab.events import ",s,count=1)
        if "import read_events" not in s: s=re.sub(r"(?m)^from mtlnas_lab",r"from mtlnas_lab.events import read_events\nfrom mtlnas_lab",s,count=1)
        f.write_text(s)
# progress.summary takes the exercises
sub("mtlnas_lab/exercises/progress.py",('''def summary() -> str:
    """A line for each exercise, grouped by notebook."""
    from .book import load

''','''def summary(exercises: Mapping) -> str:
    """A line for each exercise of {name: Exercise}, grouped by notebook."""
'''),('''    exercises = load()
''',''),("from datetime import date\n","from collections.abc import Mapping\nfrom datetime import date\n"))
sub("mtlnas_lab/cli.py",("kept.summary()","kept.summary(load())"))
sub("mtlnas_lab/cli.py",("    from .exercises import progress as kept\n","    from .exercises import progress as kept\n    from .exercises.book import load\n"))
sub("mtlnas_lab/calibrate.py",("from .search import Search, SearchConfig\n","from .config import SearchConfig\nfrom .search import Search\n"))
p=R/"tests/test_exercises.py"; s=p.read_text(); s=s.replace("progress.summary()","progress.summary(book.load())"); 
if "import book" not in s: s=s.replace("from mtlnas_lab.exercises import","from mtlnas_lab.exercises import book\nfrom mtlnas_lab.exercises import",1)
p.write_text(s)
# foreign text on one line is in values
sub("mtlnas_lab/cli.py", ("    printable,\n", ""), ("from .errors import ConfigError\n", "from .errors import ConfigError\nfrom .values import printable\n"))
p = R / "tests/test_commands.py"
s = p.read_text().replace("console.printable(", "printable(")
p.write_text(re.sub(r"(?m)^from mtlnas_lab", "from mtlnas_lab.values import printable\nfrom mtlnas_lab", s, count=1))
