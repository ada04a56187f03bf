"""Simulated counts maps, beside gammapy's map dataset and photon lists of the same fields, on one core."""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--maps", type=int, default=400, help="maps of each setting (default: %(default)s)")
    parser.add_argument("--lists", type=int, default=5, help="gammapy's of each kind (default: %(default)s)")
    args = parser.parse_args()

    from skyloom.cases import cherenkov
    from skyloom.detect import simulated_photons
    from skyloom.detect.simulated_maps import observe
    from skyloom.instruments import cherenkov as instrument

    settings = cherenkov.Simulate(published=args.maps, test=args.maps)
    start = time.process_time()
    responses = cherenkov.responses_of(settings.observation, ROOT / "resources")
    print(f"responses of {len(responses)} zenith angles: {time.process_time() - start:.1f} s, once a job\n")
    print("| maps of 200 x 200 pixels | maps/s |")
    print("|---|---|")
    rates = {}
    for split, name in (("published", "one Crab, 100 s"), ("test", "0 to 5 sources, 10 s to 1 h")):
        start = time.process_time()
        for number in range(args.maps):
            field, rng = cherenkov.drawn_field(settings, split, number, 1, list(responses))
            observe(field, responses[field.response], rng)
        rates[split] = args.maps / (time.process_time() - start)
        print(f"| {name} | {rates[split]:.0f} |")

    performance = instrument.read_performance(ROOT / "resources" / cherenkov.PERFORMANCE)
    irfs = {zenith: instrument.make_irfs(performance, zenith) for zenith in responses}
    seconds = []
    for number in range(args.lists):
        field, _ = cherenkov.drawn_field(settings, "published", number, 1, list(responses))
        pointing = simulated_photons.Pointing(
            "benchmark", "", number, 83.6, 22.0, field.response, np.datetime64("2025-01-01").item(), (0.03, 5.0)
        )
        start = time.process_time()
        dataset = simulated_photons.dataset_of(field, pointing, irfs[field.response], 5.0, 0.025)
        dataset.fake(random_state=number)
        seconds.append(time.process_time() - start)
    theirs = 1 / np.median(seconds)
    print(f"| gammapy's map dataset, one Crab, 100 s | {theirs:.2f} |")
    print(f"\nratio: {rates['published'] / theirs:.0f}")


if __name__ == "__main__":
    main()
