local w = {
  images = {{ref = "mepc/app:1.0"}},
  outside = {["https://slack.example/*"] = {status = 200}},
}
local params = {name = "app", image = "mepc/app:1.0", channel = "https://slack.example/team"}

describe("deploy", function()
  it("tells the team last", function()
    local r = world(w):run("deploy.lua", params)
    assert.is_nil(r.error)
    assert.are.equal("slack.post", r.effects[#r.effects].op)
  end)
  it("takes the release back when the team cannot be told", function()
    local w = world(w)
    w:fail("slack.post", {with = "refused"})
    local r = w:run("deploy.lua", params)
    assert.are.equal("refused", r.error.kind)
    assert.are.same({}, w.docker:list{all = true})
  end)
end)
