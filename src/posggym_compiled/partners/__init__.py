"""Policies that play with the learner: networks, POSGGym's policies, random ones.

`rollouts.Players` takes a sequence of them; `posggym_policies.partner_for` finds the
compiled form of a policy that POSGGym registers.
"""
