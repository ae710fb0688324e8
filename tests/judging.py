"""How the tests of the course's checks judge answers: right, almost right, wrong, a stub, a wrong type."""

from mtlnas_lab.course import check

PNG = b"\x89PNG"


def cases(answers):
    """(name, answer, said) of {name: [(answer, said), …]}; said: words of the message, None where the answer is right."""
    return [(name, *case) for name, given in answers.items() for case in given]


def judge(name, answer, said=None):
    """A right answer is praised beside a picture; another one gets a message with the words `said`."""
    verdict = check(name, answer)
    assert verdict.solved is (said is None) and (said or "") in verdict.message, verdict
    assert not verdict.picture or verdict.picture.startswith(PNG)
    if said is None:
        assert verdict.picture and len(verdict.message) > 20, verdict


def refused(name, *answers):
    """A stub is not filled in, and answers of a wrong type are wrong, with a message."""
    assert check(name, lambda *_: ...).solved is None
    for answer in answers:
        verdict = check(name, answer)
        assert verdict.solved is False and verdict.message, verdict


def judged(name, answers):
    """All of it for one exercise; answers: the right one, then (answer, said)."""
    right, *wrong = answers
    judge(name, right)
    for answer, said in wrong:
        judge(name, answer, said)
    refused(name, 3, "text", lambda *_: "text", lambda *_: 1, lambda: 0)
