"""Delivery as a whole: the parts that recover together, before the queue starts to work."""

from localaws.clients import Clients
from localaws.context import Context
from localaws.delivery.event_sources import EventSources
from localaws.delivery.queue import Queue
from localaws.delivery.rules import Rules
from localaws.delivery.schedules import Schedules
from localaws.delivery.targets import Targets
from localaws.delivery.topics import TopicMessages
from localaws.moto_side.state import MotoState


class Delivery:
    """Everything that calls a target because something happened."""

    def __init__(self, context: Context, state: MotoState) -> None:
        clients = Clients(context.endpoint_url, context.region)
        self.queue, self.targets = Queue(context, state.when_saved), Targets(clients, context.guard)
        self.rules = Rules(context, self.queue, self.targets)
        self.event_sources = EventSources(context, clients)
        topics = TopicMessages(context, self.queue, self.targets)
        schedules = Schedules(context, state, self.rules)
        self._parts = (self.rules, topics, self.event_sources, schedules, self.queue)

    def recover(self) -> None:
        for part in self._parts:
            part.recover()

    def shutdown(self) -> None:
        for part in reversed(self._parts):
            if not isinstance(part, Rules | TopicMessages):
                part.shutdown()
