"""Checks of notebook 05: relaxation, temperature, entropy."""
from __future__ import annotations

import torch

from ..relaxation import entropy as library
from .book import Wrong, exercise


@exercise("05.entropy")
def entropy(answer, ax):
    """The entropy of a gate, by hand."""
    alpha = torch.linspace(-6, 6, 61)
    yours, right = torch.as_tensor(answer(alpha)), torch.stack([library(a[None]) for a in alpha])
    if yours.shape != right.shape:
        raise Wrong(f"give one number for each gate, shape {tuple(right.shape)}; yours has {tuple(yours.shape)}")
    ax.plot(alpha, right, color="#4575b4", lw=4, alpha=0.5, label="H(σ(α))")
    ax.plot(alpha, yours.detach(), color="#b35806", label="yours")
    ax.set(xlabel="α", ylabel="entropy (nats)")
    ax.legend(frameon=False)
    if torch.allclose(yours, right / torch.log(torch.tensor(2.0)), atol=1e-4):
        raise Wrong("this is the entropy in bits; in nats the logarithm is the natural one")
    if not torch.allclose(yours, right, atol=1e-5):
        raise Wrong("the curve should be 0 at both ends and ln 2 = 0.693 at α = 0; yours is "
                    f"{yours[30]:.3f} there. Both outcomes count, open and closed")
    return "Highest where the gate is undecided, zero where it has decided."
