-- Asks gpuledger's collector whether a job that wants GPUs may be submitted, for Slurm's job_submit/lua.
--
-- Install as /etc/slurm/gpuledger-admission.lua and call it from /etc/slurm/job_submit.lua: docs/guides/admission.md.
--
-- slurmctld runs this with its job lock held, so what it may cost is bounded: one curl a job, killed after `kill_s`; where
-- nobody answers, no further question for `rest_s`. Lua has no sockets without a library that clusters seldom have, and
-- curl is there. The shell's command is put together once, from settings: what users write (names, accounts) is only ever
-- in a file that curl sends. The collector's address and token are in curl's own configuration, not among arguments.

local NOTHING_SAID_16, NOTHING_SAID_32 = 65534, 4294967293 -- Slurm's NO_VAL16 and the like, and all above
local MOST_SENT, MOST_READ = 60000, 8192 -- bytes
local TRES = { "tres_per_job", "tres_per_node", "tres_per_task", "tres_per_socket" }
local COUNTS_32 = { nodes = "min_nodes", tasks = "num_tasks" }
local COUNTS_16 = { tasks_per_node = "ntasks_per_node", tasks_per_gpu = "ntasks_per_tres", sockets_per_node = "sockets_per_node" }
local DECIDED = { allow = true, hold = true, refuse = true }

-- Slurm has fields that some versions do not: they read as nil, or raise.
local function field(job, name)
  if job == nil then return nil end
  local there, value = pcall(function() return job[name] end)
  if there and value ~= "" then return value end
  return nil
end

local function text(...)
  for index = 1, select("#", ...) do
    local value = select(index, ...)
    if type(value) == "string" and value ~= "" then return value end
  end
  return nil
end

local function count(value, nothing_said)
  value = tonumber(value)
  if value and value >= 0 and value < nothing_said then return string.format("%.0f", value) end
  return nil
end

local function default_partition(partitions)
  for name, partition in pairs(partitions or {}) do
    if field(partition, "flag_default") == 1 then return name end
  end
  return nil
end

-- The tasks of an array that have not started, as an array; nil: it is none.
local function tasks_left(before)
  local tasks = tonumber(count(field(before, "array_task_cnt"), NOTHING_SAID_32))
  return tasks and tasks > 1 and string.format("1-%.0f", tasks) or nil
end

-- What a job says of GPUs, in the collector's words.
local function wishes(job)
  local found = {}
  for _, name in ipairs(TRES) do found[name] = text(field(job, name)) end
  for name, slurms in pairs(COUNTS_32) do found[name] = count(field(job, slurms), NOTHING_SAID_32) end
  for name, slurms in pairs(COUNTS_16) do found[name] = count(field(job, slurms), NOTHING_SAID_16) end
  return found
end

local function wants_gpus(wished)
  for _, name in ipairs(TRES) do
    if (wished[name] or ""):find("gpu", 1, true) then return true end
  end
  return (tonumber(wished.tasks_per_gpu) or 0) > 0
end

-- What the collector is asked about a job; `before` is the job as it is where it is to be changed. nil: it wants no GPUs.
local function question(job, before, partitions)
  local asked = wishes(before)
  for name, value in pairs(wishes(job)) do asked[name] = value end
  if not wants_gpus(asked) then return nil end
  asked.user = text(field(job, "user_name"), field(before, "user_name"))
  asked.account = text(field(job, "account"), field(before, "account"), field(job, "default_account"))
  asked.partition = text(field(job, "partition"), field(before, "partition")) or default_partition(partitions)
  asked.name = (text(field(job, "name"), field(before, "name")) or ""):sub(1, 1024)
  asked.array = text(field(job, "array_inx")) or tasks_left(before)
  asked.job = count(field(before, "job_id"), NOTHING_SAID_32)
  return asked
end

-- Whether a change is of what is decided by; all others (a priority, a time limit, a name) are of no interest.
local function matters(job)
  return next(wishes(job)) ~= nil or text(field(job, "account"), field(job, "partition"), field(job, "array_inx")) ~= nil
end

local function encoded(asked)
  local fields = {}
  for name, value in pairs(asked) do
    value = value:gsub("[^A-Za-z0-9_.-]", function(byte) return string.format("%%%02X", byte:byte()) end)
    fields[#fields + 1] = name .. "=" .. value
  end
  return table.concat(fields, "&")
end

local function written(path, content)
  local file, why = io.open(path, "w")
  if not file then return nil, why end
  local sent = file:write(content)
  return file:close() and sent, path .. " cannot be written"
end

local function quoted(argument)
  return "'" .. tostring(argument):gsub("'", "'\\''") .. "'"
end

local Admission = {}
Admission.__index = Admission

-- Settings, each with its default:
--   config    curl's configuration, with the collector's URL and token: /etc/slurm/gpuledger.curl, SlurmUser's, mode 0600
--   folder    where the question is left for curl: /run/gpuledger-slurm, SlurmUser's, mode 0700
--   timeout_s how long an answer may take (0.3); kill_s: after which curl is killed (0.5)
--   rest_s    how long nobody is asked after no answer came (30)
--   on_doubt  where there is no answer: "allow" (the default) or "refuse"
--   warn      whether users see what would have been refused (true)
--   cluster   as the collector calls it; without one its own [admission] cluster
--   enabled   false: nothing is asked, everything passes (true)
local function new(settings)
  settings = settings or {}
  local self = setmetatable({ rest_from = nil }, Admission)
  local folder = settings.folder or "/run/gpuledger-slurm"
  self.question_file = folder .. "/question"
  self.rest_s = settings.rest_s or 30
  self.refuses = settings.on_doubt == "refuse"
  self.warn = settings.warn ~= false
  self.cluster = settings.cluster
  self.enabled = settings.enabled ~= false
  -- KILL: slurmctld's threads block other signals, and their children inherit that.
  self.command = "PATH=/usr/bin:/bin exec timeout -s KILL " .. quoted(settings.kill_s or 0.5)
    .. " curl --disable --config " .. quoted(settings.config or "/etc/slurm/gpuledger.curl")
    .. " --silent --show-error --fail --max-time " .. quoted(settings.timeout_s or 0.3)
    .. " --noproxy '*' --data-binary " .. quoted("@" .. self.question_file) .. " 2>&1"
  return self
end

-- The lines of an answer; or nil and why there is none.
function Admission:ask(asked)
  local now = os.time()
  if self.rest_from and now >= self.rest_from and now < self.rest_from + self.rest_s then
    return nil, "the collector did not answer lately"
  end
  local body = encoded(asked)
  if #body > MOST_SENT then return nil, "it says more than can be asked" end
  local done, why = written(self.question_file, body)
  if not done then return nil, why end
  local pipe = assert(io.popen(self.command, "r"))
  local said = pipe:read(MOST_READ) or ""
  pipe:close()
  os.remove(self.question_file)
  local lines = {}
  for line in said:gmatch("[^\r\n]+") do lines[#lines + 1] = line end
  if DECIDED[lines[1]] then
    self.rest_from = nil
    return lines
  end
  -- Who answers with an error (22) answers: it is no reason to rest, or one odd job would let all others pass unasked.
  if not said:find("curl: (22)", 1, true) then self.rest_from = now end
  return nil, "the collector did not answer: " .. (lines[1] or "in time")
end

local function tell(line)
  slurm.log_user("%s", line)
end

function Admission:doubt(why)
  if self.refuses then
    slurm.log_error("%s", "gpuledger: a job was refused because it cannot be decided: " .. why)
    tell("gpuledger: refused because it cannot be decided: " .. why .. ". Submit again later, or ask who runs this cluster")
    return slurm.ERROR
  end
  slurm.log_error("%s", "gpuledger: a job was let through undecided: " .. why)
  return slurm.SUCCESS
end

function Admission:decide(asked)
  if asked == nil then return slurm.SUCCESS end
  asked.cluster = self.cluster
  local lines, why = self:ask(asked)
  if lines == nil then return self:doubt(why) end
  local refused = lines[1] ~= "allow"
  if refused then slurm.log_info("%s", lines[2] or "gpuledger: refused") end
  for index = 2, #lines do
    if refused or self.warn then tell(lines[index]) end
  end
  return refused and slurm.ERROR or slurm.SUCCESS
end

local function guarded(self, make)
  if not self.enabled then return slurm.SUCCESS end
  local fine, found = pcall(function() return self:decide(make()) end)
  if fine then return found end
  return self:doubt(tostring(found)) -- whatever goes wrong in here is doubt, too
end

-- slurm.SUCCESS, or what slurm_job_submit returns to refuse.
function Admission:submit(job, partitions)
  return guarded(self, function() return question(job, nil, partitions) end)
end

-- The same for slurm_job_modify. Slurm 22.05 shows users no messages here: they are in slurmctld's log.
function Admission:modify(job, before, partitions)
  return guarded(self, function()
    if matters(job) then return question(job, before, partitions) end
    return nil
  end)
end

return { new = new }
