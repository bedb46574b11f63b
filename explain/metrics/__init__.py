"""Metrics: whether an attribution is any good, per sample, and always beside maps that cannot be.

=============  =======================================  =================================================
faithfulness   deletion insertion pixel_flipping road   does the score follow the map when pixels go?
               infidelity faithfulness_correlation
robustness     sensitivity_max                          does the map stay when the input hardly moves?
randomization  mprt random_logit                        does it change when the model or the class does?
axioms         completeness non_sensitivity             does it keep what it promises?
               input_invariance
localisation   pointing_game relevance_mass             does it light up where the thing is?
               relevance_rank
complexity     gini entropy                             is it short?
=============  =======================================  =================================================

They measure different things and disagree; a constant map is the most robust, the edges are among the sparsest. Those
that judge a map are called ``metric(model, attribution, ...)``, those that need to explain again
``metric(method, model, x, ...)``, and those that look at the map alone ``metric(attribution, ...)``.
"""

from .axioms import completeness, input_invariance, non_sensitivity
from .complexity import entropy, gini
from .controls import control_maps, control_methods
from .faithfulness import faithfulness_correlation, infidelity
from .imputation import noisy_linear_imputation
from .localisation import pointing_game, relevance_mass, relevance_rank
from .measurement import Measurement
from .randomization import mprt, random_logit
from .removal import deletion, insertion, pixel_flipping, road
from .robustness import sensitivity_max
from .table import Table, table

__all__ = [
    "Measurement",
    "Table",
    "completeness",
    "control_maps",
    "control_methods",
    "deletion",
    "entropy",
    "faithfulness_correlation",
    "gini",
    "infidelity",
    "input_invariance",
    "insertion",
    "mprt",
    "noisy_linear_imputation",
    "non_sensitivity",
    "pixel_flipping",
    "pointing_game",
    "random_logit",
    "relevance_mass",
    "relevance_rank",
    "road",
    "sensitivity_max",
    "table",
]
