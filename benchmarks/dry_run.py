"""Time a dry run of the preset for the ALMA archive with 50 000 files, beside Snakemake on an empty Snakefile."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PRESET = "config/presets/alma_archive.yaml"
PARTS = ["Snakefile", "rules", "scripts", "envs", "config", "profiles", "resources", "report"]


def seconds(folder: Path, *arguments: str) -> tuple[float, str]:
    """Return how long Snakemake took in a folder, and what it printed."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return time.perf_counter() - start, done.stdout + done.stderr


def archive(folder: Path, rows: int, chunks: int) -> None:
    """Write the chunk files that a query of `rows` files would leave."""
    sys.path.insert(0, str(ROOT / "scripts"))
    from astropy.table import Table

    from skyloom.files import write_table

    per_chunk = rows // chunks
    for chunk in range(chunks):
        ids = [f"member.uid___A001_X{chunk:x}_X{row:x}.field_sci.cont.I.pbcor.fits" for row in range(per_chunk)]
        table = Table({"product_id": ids, "filename": ids, "access_url": [f"https://archive/{name}" for name in ids]})
        write_table(folder / f"results/alma/disk_winds/alma/query/chunk_{chunk:03d}.ecsv", table)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    chunks = int(re.search(r"^  chunks: (\d+)", (ROOT / PRESET).read_text(), re.M)[1])
    with tempfile.TemporaryDirectory() as name:
        folder, empty = Path(name, "skyloom"), Path(name, "empty")
        for part in PARTS:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, folder / part)
            else:
                folder.mkdir(exist_ok=True)
                shutil.copy2(source, folder / part)
        empty.mkdir()
        (empty / "Snakefile").write_text("rule all:\n    output: 'x'\n    shell: 'touch x'\n")
        archive(folder, args.rows, chunks)
        own, peer, jobs = [], [], ""
        for _ in range(args.repeats):
            peer.append(seconds(empty)[0])
            elapsed, text = seconds(folder, "--configfile", PRESET)
            own.append(elapsed)
            jobs = next(line.split()[-1] for line in text.splitlines() if line.startswith("total"))
    print(f"cores {os.cpu_count()}, Python {sys.version.split()[0]}, best of {args.repeats}")
    print(f"{'dry run':<40}{'jobs':>8}{'seconds':>10}")
    print(f"{'Snakemake, one rule':<40}{1:>8}{min(peer):>10.2f}")
    print(f"{f'Skyloom, {args.rows} files in {chunks} chunks':<40}{jobs:>8}{min(own):>10.2f}")
    print(f"ratio {min(own) / min(peer):.2f}")


if __name__ == "__main__":
    main()
