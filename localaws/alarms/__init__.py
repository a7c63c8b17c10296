"""CloudWatch alarms that change state.

moto keeps metrics and alarms. Metric data goes in; an alarm's state comes out, with its actions:

    evaluation   one alarm and its datapoints: OK, ALARM or INSUFFICIENT_DATA, and why
    watch        evaluates alarms when data arrives and as time passes; runs the actions and sends
                 the event "CloudWatch Alarm State Change"
    measures     the metrics of functions, gathered for a second each

Metric math, anomaly detection and composite alarms are refused by name.
"""
