# Targets outside `all`: the search for an optimiser, and what each augmentation brings.


rule tune:
    input:
        dataset=tuned_dataset,
        script="scripts/tune.py",
        library=library("scripts/tune.py"),
    output:
        table="<results>/{case}/tune.csv",
    log:
        "<logs>/{case}/tune.log",
    benchmark:
        "<logs>/benchmarks/{case}/tune.tsv"
    conda:
        "../envs/tune.yaml"
    threads: tuned_threads
    resources:
        mem_mb=memory(1500, 1.5),
        runtime=minutes(30, 0.002, of=trial_megabytes),
    params:
        settings=settings("tune"),
        model=tuned_model_settings,
        seed=SEED,
    shell:
        "python {input.script} --case {wildcards.case} --settings {params.settings:q} --seed {params.seed}"
        " --model-settings {params.model:q} --dataset {input.dataset} --table {output.table} > {log:q} 2>&1"


rule augment_variant:
    input:
        labels="<results>/{case}/training/labels.ecsv",
        cutouts=chunks("<results>/{case}/{archive}/cutouts/chunk_{chunk}.h5", "training"),
        script="scripts/augment.py",
        library=library("scripts/augment.py"),
    output:
        augmented=temp("<results>/{case}/ablation/{variant}.augmented.h5"),
    log:
        "<logs>/{case}/augment_variant_{variant}.log",
    benchmark:
        "<logs>/benchmarks/{case}/augment_variant_{variant}.tsv"
    conda:
        "../envs/augment.yaml"
    threads: 1
    resources:
        mem_mb=memory(500, 3),
        runtime=minutes(10, 0.002),
    params:
        settings=variant_settings("augment"),
        seed=SEED,
    shell:
        "python {input.script}"
        " --case {wildcards.case} --settings {params.settings:q} --seed {params.seed}"
        " --labels {input.labels} --cutouts {input.cutouts} --output {output.augmented} > {log:q} 2>&1"


rule ablate:
    input:
        dataset=catalog_dataset,
        augmented="<results>/{case}/ablation/{variant}.augmented.h5",
        script="scripts/ablate.py",
        library=library("scripts/ablate.py"),
    output:
        measures="<results>/{case}/ablation/{variant}.json",
    log:
        "<logs>/{case}/ablate_{variant}.log",
    benchmark:
        "<logs>/benchmarks/{case}/ablate_{variant}.tsv"
    conda:
        "../envs/ablate.yaml"
    threads: catalog_threads
    resources:
        mem_mb=memory(1500, 2.5),
        runtime=minutes(30, 0.002, of=repeat_megabytes),
    params:
        settings=settings("calibrate"),
        name=catalog_model,
        model=catalog_model_settings,
        length=ablation_length,
        seed=SEED,
    shell:
        "python {input.script}"
        " --case {wildcards.case} --settings {params.settings:q} --seed {params.seed}"
        " --model {params.name} --model-settings {params.model:q} --variant {wildcards.variant}"
        " --dataset {input.dataset} --augmented {input.augmented} {params.length} --output {output.measures} > {log:q} 2>&1"


rule merge_ablation:
    input:
        results=expand("<results>/{case}/ablation/{variant}.json", variant=VARIANTS, allow_missing=True),
        script="scripts/merge_ablation.py",
        library=library("scripts/merge_ablation.py"),
    output:
        table=report(
            "<results>/{case}/ablation.csv",
            caption="../report/ablation.rst",
            category="{case}",
            subcategory="training",
            labels={"table": "ablation"},
        ),
    log:
        "<logs>/{case}/merge_ablation.log",
    benchmark:
        "<logs>/benchmarks/{case}/merge_ablation.tsv"
    wildcard_constraints:
        case=one_of(CLASSIFIED),
    conda:
        "../envs/merge_ablation.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(10),
    shell:
        "python {input.script} --results {input.results} --table {output.table} > {log:q} 2>&1"


rule publish_results:
    input:
        shown=published_table,
        page=published_page,
        figure=published_figure,
        script="scripts/publish_results.py",
        library=library("scripts/publish_results.py"),
    output:
        page="docs/measured/{case}.md",
        figure="images/{case}.png",
    log:
        "<logs>/{case}/publish_results.log",
    benchmark:
        "<logs>/benchmarks/{case}/publish_results.tsv"
    conda:
        "../envs/publish_results.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(10),
    shell:
        "python {input.script} --name {wildcards.case} --shown {input.shown} --page {input.page}"
        " --figure {input.figure} --page-copy {output.page} --figure-copy {output.figure} > {log:q} 2>&1"


rule publish_ablation:
    input:
        page=expand("<results>/{{case}}/{name}.md", name=["ablation", "ablation_snr", "ablation_training"]),
        script="scripts/publish_results.py",
        library=library("scripts/publish_results.py"),
    output:
        page="docs/measured/{case}_ablation.md",
    log:
        "<logs>/{case}/publish_ablation.log",
    benchmark:
        "<logs>/benchmarks/{case}/publish_ablation.tsv"
    wildcard_constraints:
        case=one_of(having("decoras")),
    conda:
        "../envs/publish_results.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(10),
    shell:
        "python {input.script} --page {input.page} --page-copy {output.page} > {log:q} 2>&1"


rule fine_tune:
    input:
        model=map_model,
        instruments=instrument_files,
        script="scripts/fine_tune.py",
        library=library("scripts/fine_tune.py"),
    output:
        table=report(
            "<results>/{case}/fine_tuning.csv",
            caption="../report/fine_tuning.rst",
            category="{case}",
            subcategory="metrics",
            labels={"table": "fine-tuning"},
        ),
        text="<results>/{case}/fine_tuning.md",
    log:
        "<logs>/{case}/fine_tune.log",
    benchmark:
        "<logs>/benchmarks/{case}/fine_tune.tsv"
    wildcard_constraints:
        case=one_of(having("fine_tuning")),
    conda:
        "../envs/fine_tune.yaml"
    threads: search_threads
    resources:
        mem_mb=memory(3000),
        runtime=minutes(120),
    params:
        settings=fine_tuning_settings,
        seed=SEED,
    shell:
        "python {input.script} --case {wildcards.case} --all-settings {params.settings:q} --seed {params.seed}"
        " --model {input.model} --table {output.table} --text {output.text} > {log:q} 2>&1"
