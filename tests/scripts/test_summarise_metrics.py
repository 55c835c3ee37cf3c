from __future__ import annotations

import pytest

from bundle.errors import InputError
from scripts.summarise_metrics import tables


def row(case: str, method: str, views: int, psnr: float, vif: str = "0.2") -> dict[str, str]:
    return {"case": case, "method": method, "views": str(views), "psnr_db": str(psnr), "ssim_3d": "0.5", "vif": vif}


ROWS = [
    row("a", "net", 6, 25.0), row("a", "sart", 6, 20.0),
    row("b", "net", 6, 30.0), row("b", "sart", 6, 31.0, ""),
    row("a", "net", 8, 26.0), row("a", "sart", 8, 22.0),
]  # fmt: skip


def test_means_by_group_and_gains_with_the_worst_case():
    means, gains = tables(ROWS, {"a": "chest"}, "sart", "metrics.csv")
    assert "| chest (1) | 6 | 25.00 / 0.500 / 0.200 | 20.00 / 0.500 / 0.200 |" in means
    assert "| others (1) | 6 | 30.00 / 0.500 / 0.200 | 31.00 / 0.500 / - |" in means
    assert "| all (2) | 6 | 27.50 / 0.500 / 0.200 | 25.50 / 0.500 / 0.200 |" in means
    assert "| net | 6 | +2.00 | -1.00 | b |" in gains
    assert "| net | 8 | +4.00 | +4.00 | a |" in gains
    assert "| sart |" not in gains


def test_a_reference_without_rows_is_refused():
    with pytest.raises(InputError, match=r"metrics\.csv: has no rows of 'fdk'. Choose one of net, sart"):
        tables(ROWS, {}, "fdk", "metrics.csv")
