"""What an update adds, changes and removes, when conditions and parameters change with it."""

from typing import Any

from localaws.cloudformation.differences import Side, difference

RESOURCES: dict[str, Any] = {
    "Plain": {"Type": "T", "Properties": {"Name": "fixed"}},
    "Named": {"Type": "T", "Properties": {"Name": {"Ref": "Name"}}},
    "Inside": {"Type": "T", "Properties": {"Key": [{"Fn::Sub": "${Name}/key"}]}},
    "Listed": {"Type": "T", "Properties": {"Key": {"Fn::Sub": ["${Name}-${x}", {"x": "y"}]}}},
    "Chosen": {"Type": "T", "Properties": {"A": {"Fn::If": ["Big", 1, {"Ref": "AWS::NoValue"}]}}},
    "Sometimes": {"Type": "T", "Condition": "Big"},
}


def side(name: str = "a", big: bool = False, **resources: Any) -> Side:
    return Side({**RESOURCES, **resources}, {"Name": name}, {"Big": big})


def test_nothing_differs_from_itself() -> None:
    assert difference(side(), side()) == {"Add": [], "Modify": [], "Remove": []}


def test_a_parameter_changes_what_names_it_in_whatever_way() -> None:
    found = difference(side("a"), side("b"))
    assert found == {"Add": [], "Modify": ["Named", "Inside", "Listed"], "Remove": []}


def test_a_condition_brings_takes_away_and_changes() -> None:
    now = difference(side(), side(big=True))
    assert now == {"Add": ["Sometimes"], "Modify": ["Chosen"], "Remove": []}
    back = difference(side(big=True), side())
    assert back == {"Add": [], "Modify": ["Chosen"], "Remove": ["Sometimes"]}


def test_a_new_text_is_a_change_and_a_new_name_an_addition() -> None:
    found = difference(side(), side(Plain={"Type": "T"}, More={"Type": "T"}))
    assert (found["Add"], found["Modify"]) == (["More"], ["Plain"])
