"""The codes that runtimes act upon: 11 is tried again, 50 and 51 are STATUS's, and from 100 on a plugin has its own."""

from __future__ import annotations

from cni.errors import CniError, Code


def test_the_specifications_codes_have_its_numbers() -> None:
    assert {code.name: code.value for code in Code if code < 100} == {
        "INCOMPATIBLE_VERSION": 1,
        "UNSUPPORTED_FIELD": 2,
        "INVALID_ENVIRONMENT": 4,
        "IO_FAILURE": 5,
        "UNDECODABLE": 6,
        "INVALID_CONFIGURATION": 7,
        "INVALID_NAMESPACE": 8,
        "TRY_AGAIN": 11,
        "NOT_SERVING": 50,
        "LIMITED": 51,
    }


def test_an_error_keeps_a_code_that_is_another_plugins() -> None:
    error = CniError(110, "ADD: bandwidth: no such device", "tbf")
    assert (error.code, str(error), error.details) == (110, "ADD: bandwidth: no such device", "tbf")
