/**
 * Numbers of the kernel's rtnetlink interface, from <linux/rtnetlink.h>, <linux/if_link.h>,
 * <linux/neighbour.h>, <linux/if_addr.h> and <linux/net_namespace.h>, under their kernel names.
 */
export const RTM_NEWLINK = 16
export const RTM_DELLINK = 17
export const RTM_GETLINK = 18
export const RTM_NEWADDR = 20
export const RTM_DELADDR = 21
export const RTM_GETADDR = 22
export const RTM_NEWROUTE = 24
export const RTM_DELROUTE = 25
export const RTM_GETROUTE = 26
export const RTM_NEWNEIGH = 28
export const RTM_DELNEIGH = 29
export const RTM_GETNEIGH = 30
export const RTM_NEWNSID = 88
export const RTM_GETNSID = 90

export const NLM_F_REPLACE = 0x100
export const NLM_F_EXCL = 0x200
export const NLM_F_CREATE = 0x400
export const NLM_F_APPEND = 0x800

export const AF_UNSPEC = 0
export const AF_INET = 2
export const AF_BRIDGE = 7
export const AF_INET6 = 10

export const IFF_UP = 0x1
export const IFF_LOWER_UP = 0x10000

export const IFLA_ADDRESS = 1
export const IFLA_IFNAME = 3
export const IFLA_MTU = 4
export const IFLA_LINK = 5
export const IFLA_MASTER = 10
export const IFLA_LINKINFO = 18
export const IFLA_IFALIAS = 20
export const IFLA_STATS64 = 23
export const IFLA_AF_SPEC = 26
export const IFLA_GROUP = 27
export const IFLA_NET_NS_FD = 28
export const IFLA_EXT_MASK = 29
export const IFLA_LINK_NETNSID = 37
export const IFLA_TARGET_NETNSID = 46
export const RTEXT_FILTER_SKIP_STATS = 8

export const IFLA_INFO_KIND = 1
export const IFLA_INFO_DATA = 2
export const IFLA_INFO_SLAVE_KIND = 4
export const IFLA_INFO_SLAVE_DATA = 5

export const IFLA_BR_STP_STATE = 5
export const IFLA_BR_MCAST_SNOOPING = 23
export const IFLA_BR_MCAST_QUERIER = 25
export const IFLA_BR_MCAST_STARTUP_QUERY_CNT = 29
export const IFLA_BR_MCAST_MEMBERSHIP_INTVL = 31
export const IFLA_BR_MCAST_QUERIER_INTVL = 32
export const IFLA_BR_MCAST_QUERY_INTVL = 33
export const IFLA_BR_MCAST_QUERY_RESPONSE_INTVL = 34
export const IFLA_BR_MCAST_STARTUP_QUERY_INTVL = 35
export const IFLA_BR_VLAN_DEFAULT_PVID = 39
export const IFLA_BR_MCAST_IGMP_VERSION = 43
export const IFLA_BR_MCAST_MLD_VERSION = 44

export const IFLA_BRPORT_LEARNING = 8
export const IFLA_BRPORT_UNICAST_FLOOD = 9
export const IFLA_BRPORT_MULTICAST_ROUTER = 25

export const IFLA_VXLAN_ID = 1
export const IFLA_VXLAN_LOCAL = 4
export const IFLA_VXLAN_LEARNING = 7
export const IFLA_VXLAN_PROXY = 11
export const IFLA_VXLAN_L2MISS = 13
export const IFLA_VXLAN_L3MISS = 14
export const IFLA_VXLAN_PORT = 15
export const IFLA_VXLAN_LOCAL6 = 17

export const VETH_INFO_PEER = 1

export const IFLA_INET6_ADDR_GEN_MODE = 8
export const IN6_ADDR_GEN_MODE_NONE = 1

export const NDA_DST = 1
export const NDA_LLADDR = 2
export const NDA_IFINDEX = 8
export const NUD_NOARP = 0x40
export const NUD_PERMANENT = 0x80
export const NTF_SELF = 0x02
export const NTF_MASTER = 0x04

export const IFA_ADDRESS = 1
export const IFA_LOCAL = 2
export const IFA_FLAGS = 8
export const IFA_F_NODAD = 0x02
export const IFA_F_PERMANENT = 0x80

export const RTA_DST = 1
export const RTA_OIF = 4
export const RT_TABLE_MAIN = 254
export const RTPROT_STATIC = 4
export const RT_SCOPE_LINK = 253
export const RTN_UNICAST = 1

export const NETNSA_NSID = 1
export const NETNSA_FD = 3
