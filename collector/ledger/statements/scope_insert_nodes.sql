INSERT INTO temp.main.scope_nodes BY NAME
SELECT
    organisation,
    department,
    team
FROM new_nodes
