"""Quantiles of the beta distribution for arrays of parameters.

The regularized incomplete beta function by its continued fraction (Lentz's method; Press et al., Numerical
Recipes, 3rd ed., 6.4), inverted by Newton steps that bisection keeps in bounds.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# Convergence takes about the square root of the larger parameter; sixty are enough up to 1e4.
FEWEST_TERMS = 60
TINY = 1e-300
# Newton doubles its digits; bisection alone would have reached 1e-9 after thirty.
STEPS = 30
TOLERANCE = 1e-9

_log_gamma = np.frompyfunc(math.lgamma, 1, 1)


def beta_quantile(probability: ArrayLike, a: ArrayLike, b: ArrayLike) -> Floats:
    """The values below which Beta(a, b) lies with these probabilities, to 1e-9; arrays of one shape, a, b > 0."""
    wanted, alpha, beta = np.broadcast_arrays(
        *(np.asarray(values, dtype=np.float64) for values in (probability, a, b))
    )
    log_norm = _gamma(alpha + beta) - _gamma(alpha) - _gamma(beta)
    low, high = np.zeros(wanted.shape), np.ones(wanted.shape)
    guess: Floats = alpha / (alpha + beta)
    for _ in range(STEPS):
        excess = _distribution(guess, alpha, beta, log_norm) - wanted
        low, high = np.where(excess < 0, guess, low), np.where(excess < 0, high, guess)
        inside = np.clip(guess, TINY, 1 - 1e-16)
        log_density = log_norm + (alpha - 1) * np.log(inside) + (beta - 1) * np.log1p(-inside)
        step = guess - excess * np.exp(np.clip(-log_density, -700, 700))
        following: Floats = np.where((step > low) & (step < high), step, (low + high) / 2)
        settled = bool(np.all(np.abs(following - guess) < TOLERANCE))
        guess = following
        if settled:
            break
    return guess


def _distribution(x: Floats, a: Floats, b: Floats, log_norm: Floats) -> Floats:
    """The probability that Beta(a, b) lies below x."""
    inside = np.clip(x, TINY, 1 - 1e-16)
    # The fraction converges fast on the side of the mean where x is the smaller part.
    mirrored = inside > (a + 1) / (a + b + 2)
    x, a, b = np.where(mirrored, 1 - inside, inside), np.where(mirrored, b, a), np.where(mirrored, a, b)
    log_front = log_norm + a * np.log(x) + b * np.log1p(-x)
    tail = np.exp(np.clip(log_front, -700, 700)) * _fraction(x, a, b) / a
    return np.clip(np.where(mirrored, 1 - tail, tail), 0, 1)


def _fraction(x: Floats, a: Floats, b: Floats) -> Floats:
    c, d = np.ones(x.shape), 1 / _off_zero(1 - (a + b) * x / (a + 1))
    value = d
    terms = FEWEST_TERMS + int(2 * math.sqrt(float(np.max(a + b, initial=0))))
    for m in range(1, terms):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _off_zero(1 + numerator * d)
            c = _off_zero(1 + numerator / c)
            change = c * d
            value = value * change
        if np.all(np.abs(change - 1) < TOLERANCE * 1e-3):
            break
    return value


def _off_zero(values: Floats) -> Floats:
    safe: Floats = np.where(np.abs(values) < TINY, TINY, values)
    return safe


def _gamma(values: Floats) -> Floats:
    logarithms: Floats = np.asarray(_log_gamma(values), dtype=np.float64)
    return logarithms
