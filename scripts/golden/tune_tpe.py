"""What Optuna's TPESampler computes and finds.

Makes src/test/resources/golden/tune/tpe.json.gz:
- `densities`: the logarithms of its Parzen densities over given observations, at given points;
- `searches`: the best values that TPESampler(multivariate=True), all else default, finds on test functions, for many
  seeds, with the same number of trials. `functions` in TpeSearcherTest are the same functions.
"""
import gzip
import json
import math
import random

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator, _ParzenEstimatorParameters
from optuna.samplers._tpe.sampler import default_weights

from common import GOLDEN, versions

optuna.logging.set_verbosity(optuna.logging.ERROR)
SEEDS, TRIALS = 50, 50


def densities():
    rng = random.Random(5)
    spaces = {
        "uniform": ({"a": FloatDistribution(-5, 5)}, lambda: [rng.uniform(-5, 5)]),
        "log": ({"a": FloatDistribution(1e-5, 1e-1, log=True)}, lambda: [10 ** rng.uniform(-5, -1)]),
        "step": ({"a": FloatDistribution(0, 1, step=0.25)}, lambda: [rng.randint(0, 4) * 0.25]),
        "int": ({"a": IntDistribution(1, 9)}, lambda: [rng.randint(1, 9)]),
        "intlog": ({"a": IntDistribution(1, 64, log=True)}, lambda: [int(2 ** rng.uniform(0, 6))]),
        "choice": ({"a": CategoricalDistribution([0, 1, 2])}, lambda: [rng.randint(0, 2)]),
        "several": (
            {"a": FloatDistribution(-5, 5), "b": FloatDistribution(1e-5, 1e-1, log=True),
             "d": CategoricalDistribution([0, 1, 2])},
            lambda: [rng.uniform(-5, 5), 10 ** rng.uniform(-5, -1), rng.randint(0, 2)]),
        "mixed": (
            {"a": FloatDistribution(-5, 5), "b": FloatDistribution(1e-5, 1e-1, log=True), "c": IntDistribution(1, 1000),
             "d": CategoricalDistribution([0, 1, 2])},
            lambda: [rng.uniform(-5, 5), 10 ** rng.uniform(-5, -1), rng.randint(1, 1000), rng.randint(0, 2)]),
    }
    parameters = _ParzenEstimatorParameters(1.0, True, False, default_weights, True)
    made = []
    for name, (space, draw) in spaces.items():
        # of equal values numpy's sort leaves the order open, and with it which kernel gets which width: several domains
        # are compared without ties, and many equal values not at all, because weights differ from 26 observations on
        ties = len(space) == 1 and any(getattr(d, "step", None) for d in space.values())
        for n in (0, 1, 2, 3, 10, 16 if ties else 26, 40):
            if ties and n > 16:
                continue
            observed = [draw() for _ in range(n)]
            while len(space) > 1 and any(len({r[i] for r in observed}) < n for i in range(len(space) - 1)):
                observed = [draw() for _ in range(n)]
            if n == 10 and len(space) == 1:
                observed[3] = observed[7] = observed[1]  # ties
            points = [draw() for _ in range(6)]
            columns = lambda rows: {k: np.array([r[i] for r in rows], dtype=float) for i, k in enumerate(space)}
            estimator = _ParzenEstimator(columns(observed), space, parameters)
            made.append({"space": name, "observed": observed, "points": points,
                         "log_pdf": estimator.log_pdf(columns(points)).tolist()})
    return made


def sphere(t):
    return sum(t.suggest_float(f"x{i}", -5, 5) ** 2 for i in range(4))


def rosenbrock(t):
    x = [t.suggest_float(f"x{i}", -2, 2) for i in range(3)]
    return sum(100 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2 for i in range(2))


def branin(t):
    x, y = t.suggest_float("x0", -5, 10), t.suggest_float("x1", 0, 15)
    return (y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6) ** 2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


A = [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
P = [[1312, 1696, 5569, 124, 8283, 5886], [2329, 4135, 8307, 3736, 1004, 9991],
     [2348, 1451, 3522, 2883, 3047, 6650], [4047, 8828, 8732, 5743, 1091, 381]]


def hartmann6(t):
    x = [t.suggest_float(f"x{i}", 0, 1) for i in range(6)]
    alpha = [1.0, 1.2, 3.0, 3.2]
    return -sum(alpha[i] * math.exp(-sum(A[i][j] * (x[j] - 1e-4 * P[i][j]) ** 2 for j in range(6))) for i in range(4))


def mixed(t):
    rate = t.suggest_float("rate", 1e-5, 1e-1, log=True)
    kind = t.suggest_categorical("kind", ["linear", "cosine", "constant"])
    n = t.suggest_int("n", 1, 16)
    m = t.suggest_int("m", 1, 128, log=True)
    return (math.log10(rate) + 3) ** 2 + {"linear": 0.5, "cosine": 0.0, "constant": 1.0}[kind] + 0.05 * abs(n - 11) \
        + 0.3 * abs(math.log2(m) - 4)


def conditional(t):
    kind = t.suggest_categorical("kind", ["linear", "cosine"])
    x = t.suggest_float("x0", -5, 5)
    if kind == "linear":
        return 1 + 0.1 * (x - 2) ** 2 + t.suggest_float("x1", 0, 2)
    return 0.1 * (x + 2) ** 2 + 4 * abs(t.suggest_float("x2", -1, 1) - 0.3)


def main():
    searches = {}
    for function in (sphere, rosenbrock, branin, hartmann6, mixed, conditional):
        best = []
        for seed in range(SEEDS):
            study = optuna.create_study(sampler=optuna.samplers.TPESampler(multivariate=True, seed=seed))
            study.optimize(function, n_trials=TRIALS)
            best.append(float(f"{study.best_value:.6g}"))
        searches[function.__name__] = best
        print(function.__name__, "median", sorted(best)[SEEDS // 2])
    out = GOLDEN / "tune" / "tpe.json.gz"
    out.parent.mkdir(parents=True, exist_ok=True)
    value = {"versions": versions("optuna", "numpy"), "trials": TRIALS, "densities": densities(), "searches": searches}
    with open(out, "wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as zipped:
        zipped.write(json.dumps(value, separators=(",", ":")).encode())
    print(out.stat().st_size, "bytes")


main()
