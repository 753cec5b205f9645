"""Billing periods: closing them, what is corrected afterwards, and the invoices that they make."""
