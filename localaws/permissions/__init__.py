"""IAM, enforced: which request of which role is allowed, and how the others are refused.

    a request over HTTP            a component that acts for a role (a job's download, a step)
      enforcement, calls              guard.require_call, role_objects, role_logs
           │ service, operation, parameters        │
           ▼                                       ▼
    principal    who: the account's administrator, a role's session, a user, a service, nobody
    actions      what: the IAM actions on resources, with their condition keys; a table a service
    guard        collects the policies: the role's own and attached ones, its boundary, the
                 session's, and the resource's (bucket, key, queue, topic, function, trust policy)
    policy       decides, by the documented logic: explicit deny, then allow, then implicit deny
      conditions, patterns
    record       writes what limited principals asked and got, where it is wanted
           │
           ▼
    the service, or a refusal in the words and the format of the service

Only access key ids are looked at: signatures are not verified, because whoever may open the
loopback port may do everything. The keys that `scones local env` gives, and any other id that does
not look like one of AWS's, are the account's administrator's. What these tables do not know (an
operation, a condition operator or key) is refused by its name for everyone else, never allowed.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""
