# Results in, figures out, each with its caption in the report.


rule plot_archive_counts:
    input:
        counts="<results>/{case}/{archive}/query/counts.csv",
        script="scripts/plot_archive_counts.py",
        library=library("scripts/plot_archive_counts.py"),
    output:
        figure=report(
            "<results>/{case}/plots/archive_counts_{archive}.png",
            caption="../report/counts.rst",
            category="{case}",
            subcategory="archive",
            labels={"figure": "archive filters", "archive": "{archive}"},
        ),
    log:
        "<logs>/{case}/plot_archive_counts_{archive}.log",
    benchmark:
        "<logs>/benchmarks/{case}/plot_archive_counts_{archive}.tsv"
    conda:
        "../envs/plot_archive_counts.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(10),
    shell:
        "python {input.script}" " --counts {input.counts} --output {output.figure} > {log:q} 2>&1"


rule plot_augmentation:
    input:
        dataset="<results>/{case}/datasets/{dataset}.h5",
        script="scripts/plot_augmentation.py",
        library=library("scripts/plot_augmentation.py"),
    output:
        figure=report(
            "<results>/{case}/plots/augmentation_{dataset}.png",
            caption="../report/augmentation.rst",
            category="{case}",
            subcategory="training",
            labels={"figure": "augmentation", "dataset": "{dataset}"},
        ),
    log:
        "<logs>/{case}/plot_augmentation_{dataset}.log",
    benchmark:
        "<logs>/benchmarks/{case}/plot_augmentation_{dataset}.tsv"
    conda:
        "../envs/plot_augmentation.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(10),
    shell:
        "python {input.script}" " --dataset {input.dataset} --output {output.figure} > {log:q} 2>&1"


rule plot_training:
    input:
        histories=every_member("<results>/{case}/models/{model}_{member}.history.csv"),
        script="scripts/plot_training.py",
        library=library("scripts/plot_training.py"),
    output:
        figure=report(
            "<results>/{case}/plots/training.png",
            caption="../report/training.rst",
            category="{case}",
            subcategory="training",
            labels={"figure": "training"},
        ),
    log:
        "<logs>/{case}/plot_training.log",
    benchmark:
        "<logs>/benchmarks/{case}/plot_training.tsv"
    conda:
        "../envs/plot_training.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(10),
    shell:
        "python {input.script}" " --histories {input.histories} --output {output.figure} > {log:q} 2>&1"


rule plot_metrics:
    input:
        metrics=every_model("<results>/{case}/metrics/{model}.json"),
        script="scripts/plot_metrics.py",
        library=library("scripts/plot_metrics.py"),
    output:
        confusion=report(
            "<results>/{case}/plots/confusion.png",
            caption="../report/confusion.rst",
            category="{case}",
            subcategory="metrics",
            labels={"figure": "confusion matrix"},
        ),
        curves=report(
            "<results>/{case}/plots/curves.png",
            caption="../report/curves.rst",
            category="{case}",
            subcategory="metrics",
            labels={"figure": "ROC and purity-completeness"},
        ),
        reliability=report(
            "<results>/{case}/plots/reliability.png",
            caption="../report/reliability.rst",
            category="{case}",
            subcategory="metrics",
            labels={"figure": "reliability"},
        ),
    log:
        "<logs>/{case}/plot_metrics.log",
    benchmark:
        "<logs>/benchmarks/{case}/plot_metrics.tsv"
    conda:
        "../envs/plot_metrics.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(10),
    shell:
        "python {input.script}"
        " --metrics {input.metrics} --confusion {output.confusion}"
        " --curves {output.curves} --reliability {output.reliability} > {log:q} 2>&1"


rule plot_candidates:
    input:
        catalog="<results>/{case}/catalog.ecsv",
        cutouts=chunks("<results>/{case}/{archive}/cutouts/chunk_{chunk}.h5", "searched"),
        script="scripts/plot_candidates.py",
        library=library("scripts/plot_candidates.py"),
    output:
        figure=report(
            "<results>/{case}/plots/candidates.png",
            caption="../report/candidates.rst",
            category="{case}",
            subcategory="catalog",
            labels={"figure": "candidates"},
        ),
    log:
        "<logs>/{case}/plot_candidates.log",
    benchmark:
        "<logs>/benchmarks/{case}/plot_candidates.tsv"
    conda:
        "../envs/plot_candidates.yaml"
    threads: 1
    resources:
        mem_mb=memory(500, 6, of=largest_megabytes),
        runtime=minutes(10, 0.001),
    shell:
        "python {input.script}"
        " --catalog {input.catalog} --cutouts {input.cutouts} --output {output.figure} > {log:q} 2>&1"


rule plot_sky:
    input:
        catalog="<results>/{case}/catalog.ecsv",
        fields=found_in("fields"),
        script="scripts/plot_sky.py",
        library=library("scripts/plot_sky.py"),
    output:
        figure=report(
            "<results>/{case}/plots/sky.png",
            caption="../report/sky.rst",
            category="{case}",
            subcategory="catalog",
            labels={"figure": "sky map"},
        ),
    log:
        "<logs>/{case}/plot_sky.log",
    benchmark:
        "<logs>/benchmarks/{case}/plot_sky.tsv"
    conda:
        "../envs/plot_sky.yaml"
    threads: 1
    resources:
        mem_mb=memory(500, 22),
        runtime=minutes(10),
    shell:
        "python {input.script}"
        " --fields {input.fields} --catalog {input.catalog} --output {output.figure} > {log:q} 2>&1"


rule plot_tuning:
    input:
        table="<results>/{case}/tune.csv",
        script="scripts/plot_tuning.py",
        library=library("scripts/plot_tuning.py"),
    output:
        figure=report(
            "<results>/{case}/plots/tuning.png",
            caption="../report/tuning.rst",
            category="{case}",
            subcategory="training",
            labels={"figure": "tuning"},
        ),
    log:
        "<logs>/{case}/plot_tuning.log",
    benchmark:
        "<logs>/benchmarks/{case}/plot_tuning.tsv"
    conda:
        "../envs/plot_tuning.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(10),
    shell:
        "python {input.script}" " --table {input.table} --output {output.figure} > {log:q} 2>&1"


rule plot_ablation:
    input:
        table="<results>/{case}/ablation.csv",
        script="scripts/plot_ablation.py",
        library=library("scripts/plot_ablation.py"),
    output:
        figure=report(
            "<results>/{case}/plots/ablation.png",
            caption="../report/ablation.rst",
            category="{case}",
            subcategory="training",
            labels={"figure": "ablation"},
        ),
    log:
        "<logs>/{case}/plot_ablation.log",
    benchmark:
        "<logs>/benchmarks/{case}/plot_ablation.tsv"
    wildcard_constraints:
        case=one_of(CLASSIFIED),
    conda:
        "../envs/plot_ablation.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(10),
    shell:
        "python {input.script}" " --table {input.table} --output {output.figure} > {log:q} 2>&1"


rule plot_detections:
    input:
        scores="<results>/{case}/metrics/chain.json",
        residuals="<results>/{case}/metrics/residuals.ecsv",
        script="scripts/plot_detections.py",
        library=library("scripts/plot_detections.py"),
    output:
        completeness=report(
            "<results>/{case}/plots/completeness.png",
            caption="../report/completeness.rst",
            category="{case}",
            subcategory="metrics",
            labels={"figure": "completeness and purity"},
        ),
        differences=report(
            "<results>/{case}/plots/residuals.png",
            caption="../report/residuals.rst",
            category="{case}",
            subcategory="metrics",
            labels={"figure": "residuals"},
        ),
        coverage=report(
            "<results>/{case}/plots/coverage.png",
            caption="../report/coverage.rst",
            category="{case}",
            subcategory="metrics",
            labels={"figure": "coverage of the errors"},
        ),
    log:
        "<logs>/{case}/plot_detections.log",
    benchmark:
        "<logs>/benchmarks/{case}/plot_detections.tsv"
    wildcard_constraints:
        case=one_of(showing("residuals")),
    conda:
        "../envs/plot_detections.yaml"
    threads: 1
    resources:
        mem_mb=memory(700),
        runtime=minutes(10),
    shell:
        "python {input.script} --scores {input.scores} --residuals {input.residuals}"
        " --completeness {output.completeness} --differences {output.differences}"
        " --coverage {output.coverage} > {log:q} 2>&1"


rule plot_cube:
    input:
        cubes="<results>/{case}/simulated/test_000.h5",
        truth="<results>/{case}/simulated/test_000.truth.ecsv",
        detections="<results>/{case}/detections/test_000.ecsv",
        calibration="<results>/{case}/detections/calibration.json",
        script="scripts/plot_cube.py",
        library=library("scripts/plot_cube.py"),
    output:
        figure=report(
            "<results>/{case}/plots/example.png",
            caption="../report/example.rst",
            category="{case}",
            subcategory="catalog",
            labels={"figure": "a cube and its sources"},
        ),
    log:
        "<logs>/{case}/plot_cube.log",
    benchmark:
        "<logs>/benchmarks/{case}/plot_cube.tsv"
    wildcard_constraints:
        case=one_of(showing("example")),
    conda:
        "../envs/plot_cube.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    shell:
        "python {input.script} --cubes {input.cubes} --truth {input.truth} --detections {input.detections}"
        " --calibration {input.calibration} --output {output.figure} > {log:q} 2>&1"


rule plot_maps:
    input:
        scores="<results>/{case}/metrics/chain.json",
        residuals="<results>/{case}/metrics/residuals.ecsv",
        maps="<results>/{case}/simulated/test_000.h5",
        truth="<results>/{case}/simulated/test_000.truth.ecsv",
        detections="<results>/{case}/detections/test_000.ecsv",
        calibration="<results>/{case}/detections/calibration.json",
        models=chain_models,
        script="scripts/plot_maps.py",
        library=library("scripts/plot_maps.py"),
    output:
        location=report(
            "<results>/{case}/plots/location.png",
            caption="../report/location.rst",
            category="{case}",
            subcategory="metrics",
            labels={"figure": "completeness, positions and probabilities"},
        ),
        bias=report(
            "<results>/{case}/plots/bias.png",
            caption="../report/bias.rst",
            category="{case}",
            subcategory="metrics",
            labels={"figure": "bias of the photons"},
        ),
        sources=report(
            "<results>/{case}/plots/sources.png",
            caption="../report/sources.rst",
            category="{case}",
            subcategory="catalog",
            labels={"figure": "maps and their sources"},
        ),
    log:
        "<logs>/{case}/plot_maps.log",
    benchmark:
        "<logs>/benchmarks/{case}/plot_maps.tsv"
    wildcard_constraints:
        case=one_of(showing("bias")),
    conda:
        "../envs/plot_maps.yaml"
    threads: 1
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    params:
        models=all_roles,
    shell:
        "python {input.script} --scores {input.scores} --residuals {input.residuals} --maps {input.maps}"
        " --truth {input.truth} --detections {input.detections} --calibration {input.calibration}"
        " --models {params.models} --location {output.location} --bias {output.bias}"
        " --sources {output.sources} > {log:q} 2>&1"


rule plot_patches:
    input:
        scores="<results>/{case}/metrics/chain.json",
        residuals="<results>/{case}/metrics/residuals.ecsv",
        others="<results>/{case}/metrics/other_tracer_residuals.ecsv",
        observations="<results>/{case}/simulated/test_000.h5",
        truth="<results>/{case}/simulated/test_000.truth.ecsv",
        detections="<results>/{case}/detections/test_000.ecsv",
        calibration="<results>/{case}/detections/calibration.json",
        models=chain_models,
        script="scripts/plot_patches.py",
        library=library("scripts/plot_patches.py"),
    output:
        patches=report(
            "<results>/{case}/plots/patches.png",
            caption="../report/patches.rst",
            category="{case}",
            subcategory="catalog",
            labels={"figure": "patches and their sources"},
        ),
        purity=report(
            "<results>/{case}/plots/purity.png",
            caption="../report/purity.rst",
            category="{case}",
            subcategory="metrics",
            labels={"figure": "completeness and purity"},
        ),
        flux=report(
            "<results>/{case}/plots/flux.png",
            caption="../report/flux.rst",
            category="{case}",
            subcategory="metrics",
            labels={"figure": "fluxes"},
        ),
        positions=report(
            "<results>/{case}/plots/positions.png",
            caption="../report/positions.rst",
            category="{case}",
            subcategory="metrics",
            labels={"figure": "positions"},
        ),
        roc=report(
            "<results>/{case}/plots/roc.png",
            caption="../report/roc.rst",
            category="{case}",
            subcategory="metrics",
            labels={"figure": "true or false, and kinds"},
        ),
        tracers=report(
            "<results>/{case}/plots/tracers.png",
            caption="../report/tracers.rst",
            category="{case}",
            subcategory="metrics",
            labels={"figure": "two models of the diffuse emission"},
        ),
    log:
        "<logs>/{case}/plot_patches.log",
    benchmark:
        "<logs>/benchmarks/{case}/plot_patches.tsv"
    wildcard_constraints:
        case=one_of(showing("patches")),
    conda:
        "../envs/plot_patches.yaml"
    threads: 1
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    params:
        models=all_roles,
    shell:
        "python {input.script} --scores {input.scores} --residuals {input.residuals} --others {input.others}"
        " --observations {input.observations} --truth {input.truth} --detections {input.detections}"
        " --calibration {input.calibration} --models {params.models}"
        " --patches {output.patches} --purity {output.purity} --flux {output.flux}"
        " --positions {output.positions} --roc {output.roc} --tracers {output.tracers} > {log:q} 2>&1"


rule plot_fields:
    input:
        scores="<results>/{case}/metrics/chain.json",
        residuals="<results>/{case}/metrics/residuals.ecsv",
        observations="<results>/{case}/simulated/test_000.h5",
        truth="<results>/{case}/simulated/test_000.truth.ecsv",
        detections="<results>/{case}/detections/test_000.ecsv",
        calibration="<results>/{case}/detections/calibration.json",
        models=chain_models,
        script="scripts/plot_fields.py",
        library=library("scripts/plot_fields.py"),
    output:
        verdicts=report(
            "<results>/{case}/plots/verdicts.png",
            caption="../report/verdicts.rst",
            category="{case}",
            subcategory="metrics",
            labels={"figure": "fields told right"},
        ),
        brightness=report(
            "<results>/{case}/plots/brightness.png",
            caption="../report/brightness.rst",
            category="{case}",
            subcategory="metrics",
            labels={"figure": "found against brightness"},
        ),
        fields=report(
            "<results>/{case}/plots/fields.png",
            caption="../report/fields.rst",
            category="{case}",
            subcategory="catalog",
            labels={"figure": "fields and their emission"},
        ),
    log:
        "<logs>/{case}/plot_fields.log",
    benchmark:
        "<logs>/benchmarks/{case}/plot_fields.tsv"
    wildcard_constraints:
        case=one_of(showing("verdicts")),
    conda:
        "../envs/plot_fields.yaml"
    threads: search_threads
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    params:
        settings=settings("search"),
        models=all_roles,
    shell:
        "python {input.script} --case {wildcards.case} --settings {params.settings:q}"
        " --scores {input.scores} --residuals {input.residuals} --observations {input.observations}"
        " --truth {input.truth} --detections {input.detections} --calibration {input.calibration}"
        " --models {params.models} --verdicts {output.verdicts} --brightness {output.brightness}"
        " --fields {output.fields} > {log:q} 2>&1"
