//! What the build made of the `.proto` files is what reflection will show.

use prost::Message as _;
use prost_types::{FileDescriptorSet, ServiceDescriptorProto};

#[test]
fn the_descriptor_set_holds_every_service_of_routed_v1() {
    let set = FileDescriptorSet::decode(api::FILE_DESCRIPTOR_SET).expect("a descriptor set");
    assert!(set.file.iter().all(|file| file.package() == "routed.v1"), "only our own package");
    let mut services: Vec<_> =
        set.file.iter().flat_map(|file| &file.service).map(ServiceDescriptorProto::name).collect();
    services.sort_unstable();
    assert_eq!(
        services,
        [
            "BfdService",
            "IpamService",
            "MonitorService",
            "NodeService",
            "PeerService",
            "PolicyService",
            "RipService",
            "RouteService"
        ]
    );
}

#[test]
fn every_message_field_and_method_is_documented() {
    let set = FileDescriptorSet::decode(api::FILE_DESCRIPTOR_SET).expect("a descriptor set");
    for file in &set.file {
        let info = file.source_code_info.as_ref().expect("comments are kept");
        let commented = |path: &[i32]| {
            info.location
                .iter()
                .any(|place| place.path == path && !place.leading_comments().trim().is_empty())
        };
        for (m, message) in (0..).zip(&file.message_type) {
            assert!(commented(&[4, m]), "{} in {}", message.name(), file.name());
            for (f, field) in (0..).zip(&message.field) {
                assert!(commented(&[4, m, 2, f]), "{}.{}", message.name(), field.name());
            }
        }
        for (e, kind) in (0..).zip(&file.enum_type) {
            assert!(commented(&[5, e]), "{} in {}", kind.name(), file.name());
            for (v, value) in (0..).zip(&kind.value) {
                assert!(commented(&[5, e, 2, v]), "{}", value.name());
            }
        }
        for (s, service) in (0..).zip(&file.service) {
            assert!(commented(&[6, s]), "{} in {}", service.name(), file.name());
            for (m, method) in (0..).zip(&service.method) {
                assert!(commented(&[6, s, 2, m]), "{}.{}", service.name(), method.name());
            }
        }
    }
}
