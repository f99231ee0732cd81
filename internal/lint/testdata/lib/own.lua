local M = {a = 1}
function M.b() return M.a end
function M:c() return self end
if M.a then M.d = 2 end
return M
