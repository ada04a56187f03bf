"""What a run says when it ends well."""

import csv
from pathlib import Path


def summary(results: str) -> str:
    """Return the closing lines of a run: catalog rows and candidates by case, plots, and where things are."""
    folder = Path(results)
    lines = []
    catalog = folder / "catalog.csv"
    if catalog.is_file():
        with catalog.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        cases: dict[str, list] = {}
        for row in rows:
            cases.setdefault(row["case"], []).append(row)
        lines.append(f"catalog  {catalog}: {len(rows)} rows")
        for case, members in sorted(cases.items()):
            candidates = sum(row.get("candidate") == "True" for row in members)
            lines.append(f"         {case}: {len(members)} rows, {candidates} candidates")
    plots = sorted(folder.glob("*/plots/*.png"))
    if plots:
        lines.append(f"plots    {len(plots)} in {folder}/<case>/plots/")
    scores = sorted(folder.glob("*/metrics/scores.md"))
    lines += [f"scores   {path}" for path in scores]
    report = folder / "report.zip"
    lines.append(f"report   {report}" if report.is_file() else f"report   make report, then see {report}")
    return "\n".join(lines)
