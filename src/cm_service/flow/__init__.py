"""The night, stage by stage: pull, normalise, evaluate, plan, deliver, reconcile."""
