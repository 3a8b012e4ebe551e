import OnlineStore
import Testing

@Suite struct OptionsTests {
  @Test(arguments: [
    ("redis://localhost", "redis://localhost:6379/0"),
    ("redis://10.0.0.1:7000/5", "redis://10.0.0.1:7000/5"),
    ("redis://[::1]:7000", "redis://[::1]:7000/0"),
    ("redis://[::1]", "redis://[::1]:6379/0"),
    ("redis://app:p%40ss:w@host:1/2", "redis://app:***@host:1/2"),
    ("redis://:secret@host", "redis://:***@host:6379/0"),
    ("unix:///run/redis.sock", "unix:///run/redis.sock?db=0"),
    ("unix://app:secret@/run/redis.sock?db=4", "unix://app:***@/run/redis.sock?db=4"),
  ])
  func urlsAreRead(_ url: String, _ shown: String) throws {
    let options = try RedisOptions(url: url)
    #expect(options.description == shown)
    #expect("\(options)".contains("p@ss") == false && String(reflecting: options).contains("secret") == false)
  }

  @Test func partsOfAURL() throws {
    let options = try RedisOptions(url: "redis://us%3Aer:p%40s%2Fs@host:7/9")
    #expect(options.endpoint == .tcp(host: "host", port: 7))
    #expect(options.user == "us:er")
    #expect(options.password == Secret("p@s/s"))
    #expect(options.database == 9)
    var dumped = ""
    dump(options, to: &dumped)
    #expect(!dumped.contains("p@s/s"))
  }

  @Test(arguments: [
    ("localhost:6379", "://"), ("http://localhost", "neither"), ("rediss://host", "tunnel"),
    ("redis://", "no host"), ("redis://host:0", "port"), ("redis://host:x", "port"),
    ("redis://host:70000", "port"),
    ("redis://host/x", "database"), ("redis://host/-1", "database"), ("redis://app@host", "no password"),
    ("redis://app:secret%4@host", "%25"), ("redis://app:%ff@host", "UTF-8"), ("unix://relative", "absolute"),
    ("unix:///s?timeout=3", "db="), ("unix:///s?db=secret", "database"),
  ])
  func mistakesAreNamedWithoutTheText(_ url: String, _ word: String) {
    let error = #expect(throws: RedisURLError.self) { try RedisOptions(url: url) }
    #expect(error?.message.contains(word) ?? false, "\(String(describing: error))")
    #expect(!(error?.message.contains("secret") ?? true))
  }
}
