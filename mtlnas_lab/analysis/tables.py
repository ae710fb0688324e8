"""Tables as text: Markdown and LaTeX's booktabs, for reports of studies and for the edges of an architecture.

Cells are taken as they are: whoever hands them over has escaped them.
"""

from __future__ import annotations

from collections.abc import Sequence


def markdown_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in GitHub's Markdown, without a newline at its end.

    Example:
        >>> print(markdown_table(["row", "score"], [["mtlnas", "0.18"]]))
        | row | score |
        | --- | --- |
        | mtlnas | 0.18 |
    """
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def booktabs(heads: Sequence[Sequence[str]], lines: Sequence[Sequence[str]], columns: str) -> str:
    r"""The tabular environment of a table for \usepackage{booktabs}, without a newline at its end.

    Args:
        heads: One or more lines above the rule.
        lines: The lines below it.
        columns: LaTeX's letters for them, as `lrr`.

    Example:
        >>> print(booktabs([["row", "score"]], [["mtlnas", "0.18"]], "lr"))
        \begin{tabular}{lr}
        \toprule
        row & score \\
        \midrule
        mtlnas & 0.18 \\
        \bottomrule
        \end{tabular}
    """
    parts = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    parts += [_row(cells) for cells in heads]
    parts.append(r"\midrule")
    parts += [_row(cells) for cells in lines]
    parts += [r"\bottomrule", r"\end{tabular}"]
    return "\n".join(parts)


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"
