-- Polls of one's own request, each of another user. Arguments: the file of tokens.
local tokens = {}

function init(arguments)
  for line in io.lines(arguments[1]) do
    tokens[#tokens + 1] = line:match("^Authorization: (.*)$")
  end
end

function request()
  local user = math.random(0, #tokens - 1)
  local path = string.format("/api/ai-status/00000000-0000-4000-9000-%012d", user)
  return wrk.format("GET", path, { Authorization = tokens[user + 1] })
end
