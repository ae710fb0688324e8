"""Checks of notebook 05 with right, wrong and almost right answers."""

import math

import pytest
import torch
from judging import cases, judge, refused
from torch.nn.functional import logsigmoid


def sigma(x):
    return torch.sigmoid(x)


def noise(u):
    return u.log() - (1 - u).log()


def naive(alpha, log=torch.log):
    p = sigma(alpha)
    return -p * log(p) - (1 - p) * log(1 - p)


def safe(alpha):
    p = sigma(alpha)
    return -p * logsigmoid(alpha) - (1 - p) * logsigmoid(-alpha)


def by_autograd(alpha):
    alpha.requires_grad_()
    return torch.autograd.grad(safe(alpha).sum(), alpha)[0]


def slope(alpha):
    return sigma(alpha) * (1 - sigma(alpha))


ANSWERS = {
    "05.concrete": [
        (lambda a, t, u: sigma((a + noise(u)) / t), None),
        (lambda a, t, u: sigma((a + u.logit()) / t), None),
        (lambda a, t, u: (a + noise(u)) / t, "σ is missing"),
        (lambda a, t, u: sigma(a + noise(u) / t), "only the noise"),
        (lambda a, t, u: sigma(a / t + noise(u)), "only α"),
        (lambda a, t, u: sigma((a + noise(u)) * t), "divide"),
        (lambda a, t, u: sigma(a + noise(u)), "not used"),
        (lambda a, t, u: sigma((a + u.log()) / t), "never positive"),
        (lambda a, t, u: sigma((a - noise(u)) / t), "turned round"),
        (lambda a, t, u: sigma(a / t), "deterministic"),
        (lambda a, t, u: u, "0.966"),
        (lambda a, t, u: sigma((1 + noise(u)) / 0.3), "use the arguments"),
        (lambda a, t, u: 0.5, "as a tensor"),
        (lambda a, t, u: a.mean(), "shape (100,)"),
    ],
    "05.temperature": [
        (lambda s, n: max((1 - s / n) ** 2, 0.05), None),
        (lambda s, n: torch.tensor((1 - s / n) ** 2).clamp(min=0.05), None),
        (lambda s, n: (1 - s / n) ** 2, "exactly 0"),
        (lambda s, n: min((1 - s / n) ** 2, 0.05), "ceiling"),
        (lambda s, n: max(1 - s / n, 0.05), "straight line"),
        (lambda s, n: (1 - s / n) ** 2 + 0.05, "above 1"),
        (lambda s, n: max((s / n) ** 2, 0.05), "rises"),
        (lambda s, n: 1.0, "yours is 1"),
        (lambda s, n: torch.ones(3), "one number"),
    ],
    "05.entropy": [
        (safe, None),
        (lambda a: torch.special.entr(sigma(a)) + torch.special.entr(sigma(-a)), None),
        (naive, "NaN"),
        (lambda a: naive(a, torch.log2), "bits"),
        (lambda a: -safe(a), "not"),
        (lambda a: -sigma(a) * logsigmoid(a), "one of the two"),
        (lambda a: -sigma(-a) * logsigmoid(-a), "one of the two"),
        (lambda a: safe(a).mean(), "mean over all gates"),
        (lambda a: a, "0.693"),
        (lambda a: safe(a).where(a.abs() < 100, torch.ones(())), "has decided"),
        (lambda a: a[:3], "shape (61,)"),
        (lambda a: [0.1], "as a tensor"),
    ],
    "05.force": [
        (lambda a: -a * slope(a), None),
        (by_autograd, None),
        (lambda a: a * slope(a), "other sign"),
        (lambda a: -a, "chain rule"),
        (slope, "∂p/∂α"),
        (lambda a: -a * slope(a) / 61, "mean over 61"),
        (lambda a: -a * slope(a) / math.log(2), "base 2"),
        (torch.tanh, "−0.197"),
        (lambda a: slope(a).sum(), "shape (61,)"),
        (lambda a: 0.0, "as a tensor"),
    ],
    "05.tipping": [
        (lambda g, w, e: g * e / w, None),
        (lambda g, w, e: torch.tensor([g * e / w], dtype=torch.float64), None),
        (lambda g, w, e: g / w, "E is missing"),
        (lambda g, w, e: -g * e / w, "sign"),
        (lambda g, w, e: g * w / e, "other way round"),
        (lambda g, w, e: g / e / w, "multiplies g"),
        (lambda g, w, e: 0.5, "0.48"),
        (lambda g, w, e: 4.8 * g, "use the arguments"),
        (lambda g, w, e: [g, w], "one number"),
    ],
    "05.ramp": [
        (lambda s, n: 10 * max(0.0, (s / n - 0.3) / 0.7), None),
        (lambda s, n: 0 if s <= 0.3 * n else 10 * (s - 0.3 * n) / (0.7 * n), None),
        (lambda s, n: 10 * s / n, "first step"),
        (lambda s, n: 10 * s / n if s / n > 0.3 else 0, "jumps to 3"),
        (lambda s, n: 10 * max(0.0, s / n - 0.3), "reaches 7"),
        (lambda s, n: 10 * (s / n - 0.3) / 0.7, "negative"),
        (lambda s, n: 10 if s / n > 0.3 else 0, "a jump"),
        (lambda s, n: max(0.0, (s / n - 0.3) / 0.7), "ends at 1"),
        (lambda s, n: 10.0, "5 at step 325"),
        (lambda s, n: [0, 1], "one number"),
    ],
}


@pytest.mark.parametrize("name, answer, said", cases(ANSWERS))
def test_right_almost_right_and_wrong(name, answer, said):
    judge(name, answer, said)


@pytest.mark.parametrize("name", ANSWERS)
def test_a_stub_is_not_wrong(name):
    refused(name, 3)
