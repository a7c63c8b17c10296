"""The resource type of AWS Budgets.

moto keeps budgets; nothing is billed here, so none ever rings.
"""

from typing import Any

from localaws.cloudformation.by_api import Clients, Handler, Made, Properties, call


class Budget:
    """`AWS::Budgets::Budget`. Ref gives the name."""

    def create(self, name: str, properties: Properties) -> Made:
        wanted = {"BudgetName": name, **properties["Budget"]}
        request: dict[str, Any] = {"AccountId": _account(), "Budget": wanted}
        if "NotificationsWithSubscribers" in properties:
            request["NotificationsWithSubscribers"] = properties["NotificationsWithSubscribers"]
        call("budgets", "CreateBudget", request)
        return wanted["BudgetName"], {}

    def update(self, identity: str, properties: Properties) -> Made:
        self.delete(identity, properties)  # moto lacks UpdateBudget
        return self.create(identity, properties)

    def delete(self, identity: str, properties: Properties) -> None:
        call("budgets", "DeleteBudget", {"AccountId": _account(), "BudgetName": identity})


def _account() -> str:
    return str(Clients.get("sts").get_caller_identity()["Account"])


HANDLERS: dict[str, Handler] = {"AWS::Budgets::Budget": Budget()}
