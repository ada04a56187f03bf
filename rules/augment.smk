# The training split's cutouts in, augmented copies and averaged pairs out.


rule augment:
    input:
        labels="<results>/{case}/training/labels.ecsv",
        cutouts=chunks("<results>/{case}/{archive}/cutouts/chunk_{chunk}.h5", "training"),
        script="scripts/augment.py",
        library=library("scripts/augment.py"),
    output:
        augmented="<results>/{case}/training/augmented.h5",
    log:
        "<logs>/{case}/augment.log",
    benchmark:
        "<logs>/benchmarks/{case}/augment.tsv"
    conda:
        "../envs/augment.yaml"
    threads: 1
    resources:
        mem_mb=memory(500, 3),
        runtime=minutes(10, 0.002),
    params:
        settings=settings("augment"),
        seed=SEED,
    shell:
        "python {input.script}"
        " --case {wildcards.case} --settings {params.settings:q} --seed {params.seed}"
        " --labels {input.labels} --cutouts {input.cutouts} --output {output.augmented} > {log:q} 2>&1"
