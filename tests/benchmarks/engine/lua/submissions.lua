-- Submissions, each of another user. Arguments: the file of tokens; a prefix of idempotency keys, or "-" for none.
local tokens, prefix, count = {}, nil, 0

function init(arguments)
  for line in io.lines(arguments[1]) do
    tokens[#tokens + 1] = line:match("^Authorization: (.*)$")
  end
  prefix = arguments[2]
end

function request()
  local headers = { ["Content-Type"] = "application/json" }
  headers["Authorization"] = tokens[math.random(#tokens)]
  if prefix ~= "-" then
    count = count + 1
    headers["Idempotency-Key"] = prefix .. count
  end
  return wrk.format("POST", "/api/ai-generate", headers, '{"Product":"Running Shoes","Your Brand":"Nike"}')
end
