-- Slurm's job_submit/lua for sites that have none yet; others add the marked lines to theirs, last: what a site changes in
-- a job (its partition, its account) is then what is asked about. Here are the settings: see gpuledger-admission.lua.
-- slurmctld reads this file again when it was changed; after a change of gpuledger-admission.lua, touch this one.

local gpuledger = dofile("/etc/slurm/gpuledger-admission.lua").new({ on_doubt = "allow", warn = true }) -- this

function slurm_job_submit(job_desc, part_list, submit_uid)
  return gpuledger:submit(job_desc, part_list) -- and this
end

function slurm_job_modify(job_desc, job_rec, part_list, modify_uid)
  return gpuledger:modify(job_desc, job_rec, part_list) -- and this
end
