"""A template's parameters against what it allows, refused in CloudFormation's own words."""

from typing import Any

import pytest
from moto.cloudformation.exceptions import ValidationError

from localaws.cloudformation.parameters import check

TEMPLATE: dict[str, Any] = {
    "Parameters": {
        "Name": {"Type": "String", "AllowedPattern": "[a-z]+", "MinLength": 2, "MaxLength": 4},
        "Count": {"Type": "Number", "Default": 2, "MinValue": 1, "MaxValue": 5},
        "Days": {"Type": "Number", "Default": 7, "AllowedValues": [7, 30]},
        "Said": {
            "Type": "String",
            "Default": "a",
            "AllowedPattern": "[a-z]",
            "ConstraintDescription": "one letter",
        },
        "Subnets": {"Type": "CommaDelimitedList", "Default": ""},
    }
}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"Name": "Ab"}, "Parameter 'Name' must match pattern [a-z]+"),
        ({"Name": "a"}, "Parameter 'Name' must contain at least 2 characters"),
        ({"Name": "abcde"}, "Parameter 'Name' must contain at most 4 characters"),
        ({"Count": "0"}, "Parameter 'Count' must be a number not less than 1"),
        ({"Count": "6"}, "Parameter 'Count' must be a number not greater than 5"),
        ({"Count": "two"}, "Parameter 'Count' must be a number"),
        ({"Days": "8"}, "Parameter 'Days' must be one of AllowedValues"),
        ({"Said": "ab"}, "Parameter 'Said' failed to satisfy constraint: one letter"),
        ({"Name": None}, "Parameters: [Name] must have values"),
        ({"Colour": "red"}, "Parameters: [Colour] do not exist in the template"),
    ],
)
def test_a_value_that_the_template_does_not_allow(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as refused:
        check(TEMPLATE, {"Name": "abc", **given})
    assert refused.value.message == sentence


def test_what_the_template_allows_passes() -> None:
    check(TEMPLATE, {"Name": "abc", "Count": "5", "Days": "30", "Subnets": "subnet-1,subnet-2"})
    check({}, {})
