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
    ("redis://app:p?ss@host", "redis://app:***@host:6379/0"),
    ("rediss://:secret@host", "rediss://:***@host:6379/0"),
    (
      "rediss://host:1/2?key_file=k&ca_file=%2Fa%26b&cert_file=c&server_name=n",
      "rediss://host:1/2?ca_file=/a&b&cert_file=c&key_file=k&server_name=n"
    ),
    ("redis+sentinel://a,b:7,[::1]:8/shop", "redis+sentinel://a:26379,b:7,[::1]:8/shop/0"),
    (
      "rediss+sentinel://u:secret@a/my%2Fshop/3?sentinel_user=s&sentinel_password=secret&ca_file=c",
      "rediss+sentinel://u:***@a:26379/my/shop/3?ca_file=c&sentinel_user=s&sentinel_password=***"
    ),
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
    ("localhost:6379", "://"), ("http://localhost", "neither"),
    ("rediss://", "no host"), ("redis://host?ca_file=a", "goes with rediss://"),
    ("rediss://host?tls=1", "unknown"),
    ("rediss://host?ca_file=", "is empty"), ("rediss://host?key_file=k", "no cert_file"),
    ("redis+sentinel://a:1", "primary"), ("redis+sentinel:///shop", "primary"),
    ("redis+sentinel://a:x/shop", "port"), ("redis+sentinel://a/shop/x", "database"),
    ("redis+sentinel://a/shop/0/1", "database"),
    ("redis+sentinel://a/shop?sentinel_user=u", "no sentinel_password"),
    ("rediss://host?sentinel_password=secret", "redis+sentinel://"),
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
