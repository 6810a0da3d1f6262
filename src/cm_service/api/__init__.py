"""HTTP only: requests in, answers out. What they mean lives in flow and rules."""
