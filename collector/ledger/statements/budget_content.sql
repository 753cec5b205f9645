-- The text of a version of the budget book, as it was imported.
SELECT b.content
FROM budget_books AS b
WHERE b.budget_version = $budget_version;
