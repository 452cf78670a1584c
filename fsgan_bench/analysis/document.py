"""The verdict as JSON: every number of the report and of the tests behind it."""

from __future__ import annotations

from typing import Any

from fsgan_bench.analysis import findings
from fsgan_bench.analysis.claims import Observation, Verdict
from fsgan_bench.analysis.comparison import FRACTION, LEVEL, Comparison
from fsgan_bench.analysis.estimates import Estimate
from fsgan_bench.analysis.matching import NARROWEST
from fsgan_bench.results import convergence
from fsgan_bench.results.resampling import REPLICATES
from fsgan_bench.results.scales import Scale
from fsgan_bench.system.json_files import without_nan


def to_json(result: Verdict) -> dict[str, Any]:
    """What ``verdict.json`` holds; null where a number is unknown."""
    content = {
        "thresholds": {
            "margin": result.margin,
            "alpha": findings.ALPHA,
            "confidence": LEVEL,
            "fraction_of_final_realisticness": FRACTION,
            "kendalls_w": findings.AGREEMENT,
            "minimum_seeds": findings.MINIMUM_SEEDS,
            "narrowest_shared_realisticness": NARROWEST,
            "bootstrap_replicates": REPLICATES,
            "plateau": convergence.PLATEAU_TEST,
        },
        "observations": [_observation_json(each) for each in result.observations],
        "tasks": [_comparison_json(each) for each in result.comparisons],
        "notes": list(result.notes),
    }
    return without_nan(content)  # type: ignore[no-any-return]


def _observation_json(observation: Observation) -> dict[str, Any]:
    return {
        "name": observation.name,
        "statement": observation.statement,
        "verdict": observation.answer,
        "claims": [
            {
                "statement": claim.statement,
                "verdict": claim.answer,
                "findings": [
                    {
                        "where": finding.where,
                        "verdict": finding.answer,
                        "why": finding.why,
                        "pairs": [
                            {
                                "first": test.first,
                                "second": test.second,
                                "over_realisticness": test.over,
                                "difference": test.difference.value,
                                "stderr": test.difference.stderr,
                                "interval": test.difference.interval(LEVEL),
                                "p_within_margin": test.within,
                                "p_beyond_margin": test.beyond,
                            }
                            for test in finding.pairs
                        ],
                    }
                    for finding in claim.findings
                ],
            }
            for claim in observation.claims
        ],
    }


def _comparison_json(each: Comparison) -> dict[str, Any]:
    task = each.results.task
    return {
        "suite": task.suite,
        "target": task.target,
        "shots": task.shots,
        "realisticness": _scale_json(each.quality),
        "diversity": _scale_json(each.diversity),
        "source_diversity": each.source,
        "real_diversity": each.real[0] if each.real else None,
        "ideal_diversity": each.ideal,
        "loss_until_iteration": each.until,
        "shared_realisticness": each.shared,
        "methods": [
            {
                "label": method.label,
                "converged": method.converged,
                "seeds": method.seeds,
                "probe_bootstrap": method.resampled,
                "final_realisticness": _estimate_json(method.final),
                "iterations_to_90": _estimate_json(method.reached),
                "diversity_at_90": _diversity_json(each, method.when_reached),
                "mean_diversity_lost": _estimate_json(method.lost),
                "diversity_at_matched_realisticness": _diversity_json(each, method.matched),
                "diversity_at_realisticness": {
                    str(level): _diversity_json(each, found) for level, found in method.at.items()
                },
            }
            for method in each.methods
        ],
    }


def _scale_json(scale: Scale) -> dict[str, str]:
    return {name: getattr(scale, name) for name in ("metric", "backbone", "version", "edition")}


def _estimate_json(estimate: Estimate) -> dict[str, Any]:
    spread = estimate.spread
    return {
        "value": spread.value,
        "stderr": spread.stderr,
        "interval": spread.interval(LEVEL),
        "by_seed": [float(value) for value in estimate.values],
    }


def _diversity_json(each: Comparison, estimate: Estimate) -> dict[str, Any]:
    return _estimate_json(estimate) | {"above_real": each.above_real(estimate)}
