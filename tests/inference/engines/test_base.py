from __future__ import annotations

import numpy as np

from ulna.inference.engines import averaged


def test_an_ensemble_is_the_mean_and_leaves_its_runners_outputs_alone() -> None:
    batch = np.ones((1, 1, 2, 2), np.float32)
    made = [np.full_like(batch, value) for value in (1, 2, 6)]
    runners = [lambda _, one=one: one for one in made]
    np.testing.assert_array_equal(averaged(runners)(batch), 3 * batch)
    assert [float(one.mean()) for one in made] == [1, 2, 6]
    assert averaged(runners[:1]) is runners[0]
