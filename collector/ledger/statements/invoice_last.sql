SELECT coalesce(max(i.invoice_number), 0) AS invoice_number
FROM invoices AS i;
