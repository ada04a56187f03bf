# Cutouts, labels and augmented samples in, one dataset out; no target may stand on two sides of the split.


rule build_dataset:
    input:
        labels="<results>/{case}/training/labels.ecsv",
        cutouts=chunks("<results>/{case}/{archive}/cutouts/chunk_{chunk}.h5", "training"),
        augmented="<results>/{case}/training/augmented.h5",
        script="scripts/build_dataset.py",
        library=library("scripts/build_dataset.py"),
    output:
        dataset="<results>/{case}/datasets/{dataset}.h5",
        x="<results>/{case}/datasets/{dataset}.x.npy",
        y="<results>/{case}/datasets/{dataset}.y.npy",
    log:
        "<logs>/{case}/build_dataset_{dataset}.log",
    benchmark:
        "<logs>/benchmarks/{case}/build_dataset_{dataset}.tsv"
    conda:
        "../envs/build_dataset.yaml"
    threads: 1
    resources:
        mem_mb=memory(500, 2.5),
        runtime=minutes(10, 0.002),
    shell:
        "python {input.script}"
        " --case {wildcards.case}"
        " --labels {input.labels} --cutouts {input.cutouts} --augmented {input.augmented}"
        " --output {output.dataset} --npy-x {output.x} --npy-y {output.y} > {log:q} 2>&1"
