# What the jobs of a run asked for and what they used, rule by rule: a target outside `all`.


rule compare_resources:
    input:
        # All that `all` makes; the benchmark files themselves would make the jobs that wrote them targets.
        results=results_of("<results>/{case}/catalog.csv", "<results>/{case}/metrics/scores.csv"),
        catalog="<results>/catalog.csv",
        config="<results>/config.yaml",
        plots=every_plot,
        reader="scripts/skyloom/workflow/benchmarks.py",
        script="scripts/compare_resources.py",
        library=library("scripts/compare_resources.py"),
    output:
        table=report(
            "<results>/resources.csv",
            caption="../report/resources.rst",
            category="resources",
            labels={"table": "resources"},
        ),
    log:
        "<logs>/compare_resources.log",
    benchmark:
        "<logs>/benchmarks/compare_resources.tsv"
    conda:
        "../envs/compare_resources.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(10),
    params:
        benchmarks=f"{LOGS}/benchmarks",
    shell:
        "python {input.script} --benchmarks {params.benchmarks:q} --table {output.table} > {log:q} 2>&1"
