//! Windows Server: PowerShell for the DHCP server's own module (DhcpServer, `*-DhcpServerv4*`).

use std::fmt::Write;

use super::PhoneClass;
use super::Plan;
use super::Setting;
use super::Value;
use super::head;
use super::hexadecimal;

/// The commands of a plan.
pub(super) fn write(plan: &Plan) -> String {
    let mut text = head(plan, "#");
    text.push_str(DEFINITIONS);
    for setting in &plan.common {
        let _ = writeln!(
            text,
            "Set-DhcpServerv4OptionValue -ScopeId $Scope {}",
            option(setting)
        );
    }
    for class in &plan.classes {
        write_class(&mut text, class);
    }
    text
}

const DEFINITIONS: &str = "\
# Replace 10.0.0.0 by the scope of the phones.
$Scope = '10.0.0.0'
foreach ($Code in 150, 159, 160) {
    if (-not (Get-DhcpServerv4OptionDefinition -OptionId $Code -ErrorAction SilentlyContinue)) {
        $Type = if ($Code -eq 150) { 'IPv4Address' } else { 'String' }
        Add-DhcpServerv4OptionDefinition -Name \"Handset $Code\" -OptionId $Code -Type $Type
    }
}
";

fn write_class(text: &mut String, class: &PhoneClass) {
    let (name, says) = (&class.name, &class.vendor_class);
    let star = if class.prefix { "*" } else { "" };
    let _ = write!(
        text,
        "\nAdd-DhcpServerv4Class -Name 'Handset {name}' -Type Vendor -Data '{says}'\n\
         Add-DhcpServerv4Policy -Name 'Handset {name}' -ScopeId $Scope -Condition OR -VendorClass EQ,'Handset {name}{star}'\n"
    );
    if !class.prefix {
        let _ = write!(
            text,
            "Add-DhcpServerv4Class -Name 'Handset user {name}' -Type User -Data '{says}'\n\
             Set-DhcpServerv4Policy -Name 'Handset {name}' -ScopeId $Scope -Condition OR -UserClass EQ,'Handset user {name}'\n"
        );
    }
    for setting in &class.settings {
        let option = option(setting);
        let _ = writeln!(
            text,
            "Set-DhcpServerv4OptionValue -ScopeId $Scope -PolicyName 'Handset {name}' {option}"
        );
    }
}

/// Option 2 is in hexadecimal, as the registry and the console show it.
fn option(setting: &Setting) -> String {
    let code = setting.option;
    let value = match &setting.value {
        Value::Addresses(addresses) => {
            let quoted: Vec<String> = addresses
                .iter()
                .map(|address| format!("'{address}'"))
                .collect();
            quoted.join(",")
        }
        Value::Offset(offset) => hexadecimal(*offset),
        // Option 43 is binary to Windows.
        Value::Text(text) if code == 43 => format!(
            "([Text.Encoding]::ASCII.GetBytes('{text}') | ForEach-Object {{ '0x{{0:X2}}' -f $_ }})"
        ),
        Value::Text(text) => format!("'{text}'"),
    };
    format!("-OptionId {code} -Value {value}")
}
