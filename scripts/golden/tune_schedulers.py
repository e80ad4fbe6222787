"""Decisions of Ray Tune's AsyncHyperBandScheduler and MedianStoppingRule on recorded reports.

The real scheduler classes are driven with stub trials and a stub controller, in the order in which Ray's controller
calls them: on_trial_add, on_trial_result for each report, and when that says STOP or the trial ends by itself,
on_trial_complete with the last result. Reports come from many trials interleaved; some are NaN or infinite, some
repeat an age, some go back in age, some jump over rungs, some tie.

Makes src/test/resources/golden/tune/schedulers.jsonl.gz: one study a line, {"scheduler", "settings", "rungs" (ASHA
only), "events"}; an event is ["a", trial, bracket], ["r", trial, time, metric, decision] or ["e", trial, state].
"""
import gzip
import json
import math
import random
import warnings

import numpy as np
from ray.tune.schedulers import AsyncHyperBandScheduler, MedianStoppingRule

from common import GOLDEN, versions

warnings.filterwarnings("ignore")  # means of nothing


class Trial:
    def __init__(self, number):
        self.trial_id = str(number)
        self.number = number
        self.status = "RUNNING"


class Controller:
    def get_live_trials(self):
        return []  # none waits, so that the median rule pauses nothing


def metric(rng, quality, time, mode, odd):
    x = rng.random()
    if odd and x < 0.04:
        return math.nan
    if odd and x < 0.05:
        return rng.choice([math.inf, -math.inf])
    value = 0.5 + quality + 2.0 / (1 + time) + rng.gauss(0, 0.05)
    if x > 0.8:
        value = round(value, 1)  # ties
    return -value if mode == "max" else value


def study(rng, scheduler, mode, trials, longest, odd, fractions):
    events = []
    running, waiting = [], list(range(trials))
    state = {}
    controller = Controller()
    # a few at once, so that reports interleave
    while waiting or running:
        while waiting and len(running) < 6:
            trial = Trial(waiting.pop(0))
            scheduler.on_trial_add(controller, trial)
            bracket = 0
            if isinstance(scheduler, AsyncHyperBandScheduler):
                bracket = next(i for i, b in enumerate(scheduler._brackets) if b is scheduler._trial_info[trial.trial_id])
            events.append(["a", trial.number, bracket])
            state[trial] = {"time": 0, "quality": rng.random(), "end": rng.randint(1, longest), "last": None}
            running.append(trial)
        trial = rng.choice(running)
        s = state[trial]
        step = 0.5 if fractions else 1
        x = rng.random()
        if odd and x < 0.05:
            pass  # the same age again
        elif odd and x < 0.10:
            s["time"] = max(step, s["time"] - step)  # back, as after a retry
        elif odd and x < 0.15:
            s["time"] += step * rng.randint(2, 5)  # rungs are jumped over
        else:
            s["time"] += step
        time = max(step, s["time"])
        s["time"] = time
        result = {"t": time, "m": metric(rng, s["quality"], time, mode, odd)}
        if rng.random() < 0.02 and s["last"] is not None:
            events.append(["e", trial.number, "failed"])
            scheduler.on_trial_error(controller, trial)
            running.remove(trial)
            continue
        decision = scheduler.on_trial_result(controller, trial, result)
        assert decision in ("CONTINUE", "STOP"), decision
        s["last"] = result
        events.append(["r", trial.number, time, result["m"], decision])
        if decision == "STOP" or time >= s["end"]:
            events.append(["e", trial.number, "stopped" if decision == "STOP" else "completed"])
            scheduler.on_trial_complete(controller, trial, result)
            running.remove(trial)
    return events


def main():
    rng = random.Random(20261124)
    np.random.seed(7)
    lines = []
    asha = [
        # max_t, grace_period, reduction_factor, brackets, stop_last_trials, trials, longest, odd, fractions
        (100, 1, 4, 1, True, 60, 40, False, False),
        (81, 1, 3, 4, True, 60, 81, False, False),
        (81, 1, 3, 3, True, 60, 60, True, False),
        (27, 1, 3, 2, False, 60, 40, True, False),
        (5, 1, 2, 1, True, 40, 5, True, True),
        (5, 1, 4, 1, False, 40, 8, True, True),
        (16, 2, 2, 6, True, 40, 16, True, False),
        (50, 0.5, 2.5, 2, True, 40, 30, True, True),
        (3, 3, 2, 1, True, 20, 5, True, False),
    ]
    for i, (max_t, grace, rf, brackets, stop_last, trials, longest, odd, fractions) in enumerate(asha):
        for mode in ("min", "max"):
            scheduler = AsyncHyperBandScheduler(
                time_attr="t", metric="m", mode=mode, max_t=max_t, grace_period=grace, reduction_factor=rf,
                brackets=brackets, stop_last_trials=stop_last)
            lines.append({
                "scheduler": "asha",
                "settings": {"mode": mode, "max_t": max_t, "grace_period": grace, "reduction_factor": rf,
                             "brackets": brackets, "stop_last_trials": stop_last},
                "rungs": [[float(age) for age, _ in b._rungs] for b in scheduler._brackets],
                "events": study(rng, scheduler, mode, trials, longest, odd, fractions),
            })
    # rungs alone, for the rounding of logarithms
    for max_t in (1, 2, 3, 5, 8, 9, 16, 27, 64, 81, 100, 125, 243, 625, 729, 1000, 1024, 2187, 4096, 6561, 10000):
        for grace in (1, 2, 3, 5):
            for rf in (2, 2.5, 3, 4, 5, 10):
                if grace <= max_t:
                    scheduler = AsyncHyperBandScheduler(
                        time_attr="t", metric="m", mode="min", max_t=max_t, grace_period=grace, reduction_factor=rf, brackets=3)
                    lines.append({
                        "scheduler": "asha",
                        "settings": {"mode": "min", "max_t": max_t, "grace_period": grace, "reduction_factor": rf,
                                     "brackets": 3, "stop_last_trials": True},
                        "rungs": [[float(age) for age, _ in b._rungs] for b in scheduler._brackets],
                        "events": [],
                    })
    median = [
        # grace_period, min_samples_required, trials, longest, odd, fractions
        (1, 3, 60, 20, False, False),
        (3, 3, 60, 30, True, False),
        (0.5, 1, 40, 10, True, True),
        (2, 5, 40, 200, False, False),
    ]
    for grace, samples, trials, longest, odd, fractions in median:
        for mode in ("min", "max"):
            scheduler = MedianStoppingRule(
                time_attr="t", metric="m", mode=mode, grace_period=grace, min_samples_required=samples)
            lines.append({
                "scheduler": "median",
                "settings": {"mode": mode, "grace_period": grace, "min_samples_required": samples},
                "events": study(rng, scheduler, mode, trials, longest, odd, fractions),
            })
    out = GOLDEN / "tune" / "schedulers.jsonl.gz"
    out.parent.mkdir(parents=True, exist_ok=True)
    header = {"versions": versions("ray", "numpy")}
    text = "\n".join(json.dumps(line, separators=(",", ":")) for line in [header, *lines]) + "\n"
    with open(out, "wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as zipped:
        zipped.write(text.encode())
    decisions = [e[4] for line in lines for e in line["events"] if e[0] == "r"]
    trials = sum(e[0] == "a" for line in lines for e in line["events"])
    print(f"{len(lines)} studies, {trials} trials, {len(decisions)} decisions, {decisions.count('STOP')} of them STOP, "
          f"{out.stat().st_size} bytes")


main()
