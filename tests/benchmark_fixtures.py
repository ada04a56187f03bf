"""Benchmark files as Snakemake 9.27 writes them."""

HEADER = ["s", "h:m:s", "max_rss", "max_vms", "max_uss", "max_pss", "io_in", "io_out", "mean_load", "cpu_time"]
EXTENDED = ["jobid", "rule_name", "wildcards", "params", "threads", "cpu_usage", "resources", "input_size_mb"]


def line(**changes):
    """Return one line of a benchmark file as Snakemake 9.27 writes it."""
    values = {
        "s": "60.00",
        "max_rss": "1000.00",
        "cpu_time": "45.00",
        "rule_name": "train",
        "wildcards": "{'case': 'disk_winds', 'model': 'windnet', 'member': '0'}",
        "params": "{'settings': '{\"epochs\": 2}'}",
        "threads": "1",
        "resources": "{'_nodes': 1, 'gpu': 1, 'runtime': 10, 'mem_mb': 2000, 'mem': '2 GB', '_cores': 1}",
        "input_size_mb": "{'data.h5': 14.5, 'scripts/train.py': 0.5}",
    } | changes
    return "\t".join(values.get(name, "0") for name in HEADER + EXTENDED)


def written(folder, name, *lines, header=(*HEADER, *EXTENDED)):
    """Write a benchmark file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join(["\t".join(header), *lines]) + "\n")
