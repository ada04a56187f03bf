"""The measures of several models, or of several ways to train one, side by side."""

from pathlib import Path

import numpy as np
from astropy.table import MaskedColumn, Table

from ..errors import UserError

WORDS = {
    "f1": "F1",
    "purity": "purity (precision)",
    "completeness": "completeness (recall)",
    "accuracy": "accuracy",
    "false_positive_rate": "rate of false positives",
    "purity_at_prevalence": "purity at the archive's prevalence",
    "roc_auc": "area under the ROC curve",
    "pr_auc": "area under the purity-completeness curve",
    "calibration_error": "expected calibration error",
}
"""What each measure is called for people, in the order of the tables."""

COUNTS = {
    "true_positive": "true positives",
    "false_positive": "false positives",
    "false_negative": "false negatives",
    "true_negative": "true negatives",
}

MEASURES = ("pr_auc", "f1", "purity", "completeness", "validation_loss")
"""What an ablation measures."""


def checked(metrics: dict, path: str | Path) -> dict:
    """Return the content of a metrics file, or raise a `UserError` if it lacks something."""
    missing = {
        "model",
        "samples",
        "positives",
        "confusion",
        "values",
        "threshold",
        "confidence",
        "prevalence",
    } - metrics.keys()
    if missing:
        raise UserError(f"{path}: has no `{min(missing)}`, so it is not a metrics file; make it by evaluate.py.")
    return metrics


def table(models: list[dict]) -> Table:
    """Return one row a measure; for each model its value and the ends of its interval, masked where not defined.

    Parameters
    ----------
    models : list of dict
        Contents of the metrics files of `evaluate.py`.
    """
    others = ("samples", "positives", "threshold")
    columns = {"measure": [*WORDS, *COUNTS, *others]}
    for metrics in models:
        rows = [metrics["values"][measure] for measure in WORDS]
        rows += [{"value": metrics["confusion"][count]} for count in COUNTS]
        rows += [{"value": metrics[other]} for other in others]
        for end, suffix in (("value", ""), ("low", "_low"), ("high", "_high")):
            # As text, because counts and measures stand in one column.
            values = [row.get(end) for row in rows]
            columns[metrics["model"] + suffix] = MaskedColumn(
                [f"{value:.4f}" if isinstance(value, float) else str(value) for value in values],
                mask=[value is None for value in values],
            )
    return Table(columns)


def text(models: list[dict]) -> str:
    """Return the comparison as a Markdown table with intervals in brackets."""
    first = models[0]
    lines = [
        f"Test set: {first['samples']} objects, {first['positives']} of them positive. In brackets: intervals at "
        f"{first['confidence']:.0%} confidence. Prevalence in the archive: {first['prevalence']:.1%}.",
        "",
        "| measure | " + " | ".join(f"`{metrics['model']}`" for metrics in models) + " |",
        "|---|" + "---|" * len(models),
    ]
    for measure, words in WORDS.items():
        lines.append(f"| {words} | " + " | ".join(_cell(metrics["values"][measure]) for metrics in models) + " |")
    for count, words in COUNTS.items():
        lines.append(f"| {words} | " + " | ".join(str(metrics["confusion"][count]) for metrics in models) + " |")
    return "\n".join(lines) + "\n"


def _cell(interval: dict) -> str:
    if interval["value"] is None:
        return "not defined"
    return "{value:.3f} ({low:.3f} to {high:.3f})".format(**interval)


def ablation_table(results: list[dict]) -> Table:
    """Return one row a variant and split: mean and standard deviation of each measure over the repeats.

    Parameters
    ----------
    results : list of dict
        As `ablate.py` writes them: variant, samples, and a list of `measured` as repeats.
    """
    rows = []
    for result in results:
        for split in ("validation", "test"):
            row = {"variant": result["variant"], "split": split, "samples": result["samples"]}
            for measure in MEASURES:
                values = [repeat[split][measure] for repeat in result["repeats"]]
                row[measure] = round(float(np.mean(values)), 4)
                row[f"{measure}_std"] = round(float(np.std(values)), 4)
            rows.append({**row, "repeats": len(result["repeats"])})
    return Table(rows)
